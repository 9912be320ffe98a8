"""Text that comes in pieces, cut into lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

LONGEST = 8192


class Lines:
    """Collects pieces of text, hands each complete line to `sink` and remembers the last `keep` of them.

    A line longer than LONGEST characters is handed on in parts, so that a flood without line ends stays bounded.
    """

    def __init__(self, sink: Callable[[str], None], keep: int = 20) -> None:
        self._sink = sink
        self._rest = ""
        self.last: deque[str] = deque(maxlen=keep)

    def feed(self, text: str) -> None:
        """Take the next piece."""
        *complete, self._rest = (self._rest + text).split("\n")
        for line in complete:
            self._emit(line.rstrip("\r"))
        while len(self._rest) > LONGEST:
            self._emit(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]

    def end(self) -> None:
        """Hand on a last line without its end."""
        if self._rest:
            self._emit(self._rest)
        self._rest = ""

    def _emit(self, line: str) -> None:
        for start in range(0, max(len(line), 1), LONGEST):
            part = line[start : start + LONGEST]
            self.last.append(part)
            self._sink(part)
