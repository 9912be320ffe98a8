"""Interpolation of a compose file
(https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from relman.config.yaml_document import Tagged

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_START = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<plain>{_NAME})|\{{(?P<braced>{_NAME})(?P<rule>:?[-?+])?)")
Lookup = Callable[[str], str | None]
_Tree = TypeVar("_Tree")


def fill(text: str, value: Lookup) -> str:
    """The text with its variables filled in; one without a value is empty, as in compose. Raises ValueError for a `$`
    that starts none, and with its own words for a required one (`${NAME:?words}`)."""
    return render(text, lambda name, rule, word: _value(value, name, rule, word), lambda literal: literal)


def in_relman(text: str, value: Lookup) -> str:
    """The same text with the placeholders of a deploy section, `${NAME}` and `${NAME:-default}`; `value` tells which
    variables are empty. Raises ValueError for what they cannot say."""

    def placeholder(name: str, rule: str, word: str) -> str:
        if rule.endswith("+") or "$" in word or "}" in word:
            raise ValueError(f"the variable {name} has a rule that relman cannot say: {rule}{word}")
        empty = rule == "-" and value(name) == ""
        return f"${{{name}:-{word}}}" if rule.endswith("-") and not empty else f"${{{name}}}"

    return render(text, placeholder, literal)


def names(text: str) -> dict[str, str | None]:
    """The variables in a text, each with its default. Raises ValueError."""
    found: dict[str, str | None] = {}

    def note(name: str, rule: str, word: str) -> str:
        found[name] = word if rule.endswith("-") and found.get(name, word) is not None else None
        return ""

    render(text, note, lambda literal: literal)
    return found


def fill_all(tree: Any, value: Lookup) -> Any:
    """The tree with all its texts filled in, but not its keys. Raises ValueError."""

    def filled(leaf: Any) -> Any:
        if isinstance(leaf, Tagged):
            raise ValueError(f"{leaf.tag} is for merging files, which is not done: write the value without it")  # noqa: TRY004
        return fill(leaf, value) if isinstance(leaf, str) else leaf

    return _each_leaf(tree, filled)


def escaped(tree: _Tree) -> _Tree:
    """The tree with each text as compose has to read it, which fills in what follows a `$`."""
    found: _Tree = _each_leaf(tree, lambda leaf: leaf.replace("$", "$$") if isinstance(leaf, str) else leaf)
    return found


def literal(tree: _Tree) -> _Tree:
    """The tree with each text as relman has to read it, so that a `${` in it stays one."""
    found: _Tree = _each_leaf(tree, lambda leaf: leaf.replace("${", "$${") if isinstance(leaf, str) else leaf)
    return found


def _each_leaf(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with everything changed that is neither a mapping, nor a key of one, nor a list."""
    if isinstance(tree, Mapping):
        return {key: _each_leaf(each, change) for key, each in tree.items()}
    if isinstance(tree, list):
        return [_each_leaf(each, change) for each in tree]
    return change(tree)


def render(text: str, variable: Callable[[str, str, str], str], literal: Callable[[str], str]) -> str:
    """The text with each variable (its name, its rule such as `:-`, the rule's word) and what is between replaced."""
    parts, between, at = list[str](), "", 0
    while (dollar := text.find("$", at)) >= 0:
        found = _START.match(text, dollar)
        if not found:
            raise ValueError(f"after $ a variable's name must follow, or another $ for a literal one: {text}")
        between += text[at:dollar]
        at = found.end()
        if found["escaped"]:
            between += "$"
            continue
        word = ""
        if found["braced"]:
            word, at = _word(text, at, rule=found["rule"] or "")
        parts += [literal(between), variable(found["plain"] or found["braced"], found["rule"] or "", word)]
        between = ""
    return "".join([*parts, literal(between + text[at:])])


def _word(text: str, at: int, *, rule: str) -> tuple[str, int]:
    """What follows a rule, up to the brace that closes it, and where the text goes on."""
    depth, end = 1, at
    while end < len(text) and depth:
        depth += 1 if text.startswith("${", end) else -1 if text[end] == "}" else 0
        end += 1
    if depth or (not rule and end - 1 > at):
        raise ValueError(f"a variable is not closed, or its rule is unknown: {text}")
    return text[at : end - 1], end


def _value(value: Lookup, name: str, rule: str, word: str) -> str:
    found = value(name)
    missing = not found if rule.startswith(":") else found is None
    match rule[-1:]:
        case "-" if missing:
            return fill(word, value)
        case "?" if missing:
            raise ValueError(f"the variable {name} is required: {word or 'it has no value'}")
        case "+":
            return "" if missing else fill(word, value)
    return found or ""
