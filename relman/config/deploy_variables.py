"""The variables of a deploy section, which the inventory gives their values: `${name}` (relman.config.placeholders)."""

from __future__ import annotations

from collections.abc import Mapping

from relman.config.placeholders import Placeholders

_VARIABLES = Placeholders(
    "[A-Za-z_][A-Za-z0-9_]*", "after ${ a variable's name and } must follow; write $${ for a literal ${"
)


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Replace every variable. Raises ValueError for a missing one without a default and for a `${` that names none."""
    return _VARIABLES.fill(text, variables.get, _missing)


def names(text: str) -> list[str]:
    """The variables in the text. Raises ValueError for a `${` that names no variable."""
    return list(_VARIABLES.names(text))


def is_open(text: str) -> bool:
    """Whether `fill` would change the text. Raises ValueError for a `${` that names no variable."""
    names(text)
    return "${" in text


def _missing(name: str) -> str:
    return f"the variable {name} has no value here: set it, as plain text, in the inventory"
