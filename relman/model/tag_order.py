"""The order of names in which numbers count by their value."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]+)")


def natural(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A key for sorting: runs of digits compare by their value (1.9 before 1.10), all else as text. It is total: names
    that are equal so (1 and 01) compare as text."""
    parts = _DIGITS.split(name)  # text and digits, in turns
    return tuple(_value(part) if place % 2 else (0, part) for place, part in enumerate(parts)), name


def _value(digits: str) -> tuple[int, str]:
    """Compares as the number does, however many digits there are."""
    significant = digits.lstrip("0")
    return len(significant), significant
