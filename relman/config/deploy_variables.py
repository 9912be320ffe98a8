"""Variables in text: `${name}` and `${name:-default}`; `$${` is a literal `${`, and any other `$` is literal."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Replace every variable. A default is used if the variable is missing or empty, and is not itself expanded.

    Raises ValueError for a missing variable without a default, and for a malformed `${`.
    """

    def one(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = _checked(match)
        if (value := variables.get(name)) or (value is not None and default is None):
            return value
        if default is None:
            raise ValueError(f"the variable {name} has no value here: set it, as plain text, in the inventory")
        return default

    return _TOKEN.sub(one, text)


def names(text: str) -> list[str]:
    """The variables in the text. Raises ValueError for a malformed `${`."""
    return [_checked(match)[0] for match in _TOKEN.finditer(text) if match[0] != "$${"]


def is_open(text: str) -> bool:
    """Whether the text contains variables. Raises ValueError for a malformed `${`."""
    for match in _TOKEN.finditer(text):
        if match[0] != "$${":
            _checked(match)
    return "${" in text


def _checked(match: re.Match[str]) -> tuple[str, str | None]:
    if not match["name"]:
        raise ValueError("after ${ a variable's name and } must follow; write $${ for a literal ${")
    return match["name"], match["default"]
