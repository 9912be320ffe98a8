"""Reading parts of documents that anybody may have written. Pure; what cannot be read is empty or PolicyRefused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from relman.evidence.rules import Rule


def moment(text: object) -> datetime | None:
    """An RFC 3339 time in UTC; None for anything else, also for one without a zone."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(UTC) if found and found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def rfc3339(time: datetime) -> str:
    """A time as relman writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(value: object, path: Sequence[str]) -> object:
    """What stands under these keys, one in the other; None where one is missing."""
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
    """A list of names. Raises PolicyRefused (rule statement-readable) for anything else but nothing."""
    found = predicate.get(key, [])
    if not isinstance(found, list) or not all(isinstance(n, str) for n in found):
        raise Rule.READABLE.refuses(f"the statement's {key} is not a list of names")
    return tuple(found)


def count(totals: Mapping[str, Any], key: str, default: int) -> int:
    """A count. Raises PolicyRefused (rule statement-readable) for anything else but nothing."""
    found = totals.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise Rule.READABLE.refuses(f"the statement's total {key} is not a count")
    return found
