"""Natural sort order: numbers in names compare by value."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]+)")


def natural(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A sort key: runs of digits compare by value (1.9 before 1.10), the rest as text; names that are equal so (1 and
    01) compare as text, which makes the order total."""
    parts = _DIGITS.split(name)  # text and digits, alternating
    return tuple(_value(part) if place % 2 else (0, part) for place, part in enumerate(parts)), name


def _value(digits: str) -> tuple[int, str]:
    """A key that compares like the number, of any length."""
    significant = digits.lstrip("0")
    return len(significant), significant
