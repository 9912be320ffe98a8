"""Determine from its text whether a shell script ends by executing its arguments. Pure.

Nothing is run. The script is followed for a command that it does not mention; what cannot be followed counts as
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from relman.ci.entrypoint.parse import Choice, Statement, parse

Transparent = Callable[[Sequence[str]], bool]

ARGUMENTS = ('"$@"', '"${@}"', "$@", "${@}")
_REDIRECTION = re.compile(r"\d*[<>].*")
_MENTIONS = re.compile(r"\$\{?[1@*#]|\$\{#[@*]?\}")
_ONLY_OPTIONS = re.compile(r"#-|:0:1|-\*|\bcommand -v|\btype\b|\bwhich\b")
_SOURCED = re.compile(r"sourced|BASH_SOURCE|\$0|\$\{0")
_ANY = re.compile(r"-n \S*\$\{?[1@*]|\$\{?#\S* (-gt 0|-ge 1|-ne 0|!= 0)")
_NONE = re.compile(r"-z \S*\$\{?[1@*]|\$\{?#\S* (-eq 0|-lt 1|-le 0|==? 0)")


def unseen(text: str, transparent: Transparent) -> str:
    """Why it is not known that this script ends with `exec "$@"`; "" if it is.

    `transparent` says whether words before `"$@"`, such as `gosu shop`, execute what follows them.
    """
    try:
        block, functions = parse(text)
        seen = _Flow(functions, transparent).of(block, ours=True)
    except (ValueError, RecursionError) as error:
        return f"cannot be followed ({error})"
    if seen:
        return ""
    return 'does not end with exec "$@"' if seen is None else 'does not reach exec "$@" with every command'


class _Flow:
    """Follows a script. The result for a block: True if the arguments are executed, False if something else ends it,
    None if it continues. `ours` is whether "$@" are the script's arguments; in a function they may be others."""

    def __init__(self, functions: Mapping[str, Sequence[Statement]], transparent: Transparent) -> None:
        self._functions = functions
        self._transparent = transparent
        self._known: dict[tuple[str, bool], bool | None] = {}

    def of(self, block: Sequence[Statement], *, ours: bool) -> bool | None:
        """The result of the first statement that has one."""
        for statement in block:
            if isinstance(statement, Choice):
                found = self._chosen(statement, ours)
            elif statement[0] == "return":
                return None
            else:
                found = self._done(statement, ours)
            if found is not None:
                return found
        return None

    def _done(self, command: tuple[str, ...], ours: bool) -> bool | None:
        first, *rest = command
        rest = [word for word in rest if not _REDIRECTION.fullmatch(word)]
        if first == "exec" and rest:
            return ours and self._passes_on(rest)
        if first == "exit":
            return False
        if first == "shift" or (first == "set" and "--" in rest):
            return False if ours and not self._passes_on(rest[rest.index("--") + 1 :] if rest else ()) else None
        return (
            self._called(first, ours and rest[:1] != [] and rest[0] in ARGUMENTS) if first in self._functions else None
        )

    def _passes_on(self, given: Sequence[str]) -> bool:
        """Whether what is executed or set is "$@", after words that only execute it."""
        return bool(given) and given[-1] in ARGUMENTS and self._transparent(_without_self(list(given[:-1])))

    def _called(self, name: str, ours: bool) -> bool | None:
        if (name, ours) not in self._known:
            self._known[name, ours] = None  # for recursion
            self._known[name, ours] = self.of(self._functions[name], ours=ours)
        return self._known[name, ours]

    def _chosen(self, choice: Choice, ours: bool) -> bool | None:
        perhaps: list[bool | None] = []
        for condition, body in choice.branches:
            holds = _holds(condition) if ours or not condition else None
            holds = not holds if choice.unless and holds is not None else holds
            if holds is False:
                continue
            found = self.of(body, ours=ours)
            if holds:
                return None if found is False and not all(p is False for p in perhaps) else found
            if found and _SOURCED.search(condition):
                return True
            perhaps.append(found)
        return None


def _without_self(found: list[str]) -> list[str]:
    """The words without the script's own name, which executes it again."""
    return found[:-1] if found[-1:] and re.fullmatch(r'"?\$\{?(0|BASH_SOURCE(\[0\])?)\}?"?', found[-1]) else found


def _holds(condition: str) -> bool | None:
    """Whether the condition holds for a command that no script mentions; None if it depends on something else."""
    if not condition:
        return True
    if not _MENTIONS.search(condition):
        return None
    if _ONLY_OPTIONS.search(condition):
        return False
    negated = condition.startswith("!")
    if _ANY.search(condition) or _NONE.search(condition):
        return bool(_ANY.search(condition)) != negated
    if "=" not in condition:
        return None
    return ("!=" in condition) != negated
