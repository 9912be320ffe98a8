"""The events of a use case that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Quiet:
    """Events that nobody looks at but for notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)

    phase = heading = line = warn = warn_once = note

    def hide(self, secrets: Iterable[str]) -> None:
        """There are none."""

    def json(self, kind: str, data: Mapping[str, Any]) -> None:
        """Nobody reads it."""
