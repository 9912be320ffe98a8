"""Text as people read it: nothing that moves a terminal's cursor, and ages."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from relman.model.text import some as some

# ECMA-48: control sequences (colours, cursor), then the strings (window titles, hyperlinks) up to BEL or ST.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]P_^X]|[\x9d\x90\x9e\x9f\x98]).*?(?:\x07|\x1b\\|\x9c)"
)
# What else a terminal obeys or hides: C0, DEL, C1, and the marks that turn the direction of text; lone surrogates
# cannot be written at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def clean(text: str) -> str:
    """`text` without terminal sequences; any other control character but tab and newline is shown as its escape."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`clean` text on a single line."""
    return clean(" ".join(text.split("\n")))


def moment(then: str) -> str:
    """The RFC 3339 time `then` in UTC to the second, without its marks: `2026-01-31 12:00:00`; else `then` itself."""
    try:
        return datetime.fromisoformat(then).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return then


def by_whom(by: str, how: str) -> str:
    """Who put there what serves, and in which way unless by a deployment: `ann@laptop (rolled back)`."""
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
    """How long ago the RFC 3339 time `then` was: `3 min ago`; `then` itself when it is no such time."""
    try:
        seconds = (now - datetime.fromisoformat(then)).total_seconds()
    except (ValueError, TypeError):
        return then
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"


def without_empty(
    columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Collection[str]
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows without those optional columns in which nothing stands."""
    kept = [i for i, column in enumerate(columns) if column not in optional or any(row[i] for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
