"""Format times, durations and sizes for people."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime

from relman.model.formats.clock import from_rfc3339

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def moment(then: str) -> str:
    """The RFC 3339 time `then` in UTC to the second, as `2026-01-31 12:00:00`; `then` itself if it is not a time."""
    try:
        return from_rfc3339(then).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return then


def by_whom(by: str, how: str) -> str:
    """Who started what serves, and the verb unless it was a deployment: `ann@laptop (rolled back)`."""
    return f"{by} ({how})" if how not in ("", "deployed") else by


def span(seconds: float) -> str:
    """A duration in its largest unit: `42 s`, `3 min`, `5 h`, `2 days`."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return "1 day" if (count, unit) == (1, "days") else f"{count} {unit}"
    return "0 s"


def size(count: int) -> str:
    """A number of bytes in its largest decimal unit: `812 kB`, `25 MB`, `1.2 GB`."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{math.ceil(count / 1e3)} kB"


def age(then: str, now: datetime) -> str:
    """How long ago the RFC 3339 time `then` was: `3 min ago`; `then` itself if it is not a time."""
    try:
        seconds = (now - from_rfc3339(then)).total_seconds()
    except (ValueError, TypeError):
        return then
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"


def without_empty(
    columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Collection[str]
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows without those optional columns that are empty."""
    kept = [i for i, column in enumerate(columns) if column not in optional or any(row[i] for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
