"""Phrases for errors: suggestions, and descriptions of values."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the most similar known word, or ""."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar known word, None if none is similar."""
    found = difflib.get_close_matches(word.lower().replace("-", "_")[:80], sorted(known), 1, cutoff)
    return found[0] if found else None


def kind_of(value: object) -> str:
    """The description of a value of an unexpected type."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case str() | int() | float():
            return shown(value)
    return str(value)


def shown(value: object) -> str:
    """A value in an error: quoted, and cut if long."""
    return _REPR.repr(value)
