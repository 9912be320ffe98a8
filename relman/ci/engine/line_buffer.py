"""Text that comes in pieces, cut into lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from relman.model.formats.mask import NOTHING, Mask

LONGEST = 8192


class Lines:
    """Collects pieces of text, hands each complete line to `sink` and remembers the last `keep` of them.

    A line longer than LONGEST characters is handed on in parts, so that a flood without line ends stays bounded.
    What `mask` hides is handed on hidden, also where it lies across two pieces or parts.
    """

    def __init__(self, sink: Callable[[str], None], keep: int = 20, mask: Mask = NOTHING) -> None:
        self._sink = sink
        self._mask = mask
        self._rest = ""
        self.last: deque[str] = deque(maxlen=keep)

    def feed(self, text: str) -> None:
        """Take the next piece."""
        *complete, self._rest = (self._rest + text).split("\n")
        for line in complete:
            self._emit(line.rstrip("\r"))
        # A secret that begins in what is handed on now has to be there to its end.
        while len(self._rest) > LONGEST + self._mask.longest:
            self._rest = self._mask(self._rest)
            self._show(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]

    def end(self) -> None:
        """Hand on a last line without its end."""
        if self._rest:
            self._emit(self._rest)
        self._rest = ""

    def _emit(self, line: str) -> None:
        line = self._mask(line)
        for start in range(0, max(len(line), 1), LONGEST):
            self._show(line[start : start + LONGEST])

    def _show(self, part: str) -> None:
        self.last.append(part)
        self._sink(part)
