"""Read parts of untrusted documents. Pure; malformed parts are empty, or PolicyRefused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from relman.evidence.rules import RuleName
from relman.model.formats.clock import from_rfc3339


def moment(text: object) -> datetime | None:
    """Parse an RFC 3339 time to UTC; None for anything else, and for a time without a zone."""
    try:
        return from_rfc3339(text) if isinstance(text, str) else None
    except ValueError:
        return None


def at(value: object, path: Sequence[str]) -> object:
    """The value under a path of keys; None if one is missing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def mapping(value: object) -> dict[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def digests(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """The digests of an in-toto ResourceDescriptor, by algorithm."""
    return mapping(descriptor.get("digest"))


def notes(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of an in-toto ResourceDescriptor."""
    return mapping(descriptor.get("annotations"))


def names(predicate: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The list of names under `key`, empty if missing. Raises PolicyRefused (rule statement-readable) for any other
    value."""
    found = predicate.get(key, [])
    if not isinstance(found, list) or not all(isinstance(n, str) for n in found):
        raise RuleName.READABLE.refuses(f"the statement's {key} is not a list of names")
    return tuple(found)


def count(totals: Mapping[str, Any], key: str, default: int) -> int:
    """The count under `key`, `default` if missing. Raises PolicyRefused (rule statement-readable) for any other
    value."""
    found = totals.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise RuleName.READABLE.refuses(f"the statement's total {key} is not a count")
    return found
