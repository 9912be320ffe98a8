"""How long an exchange with a registry may take, whatever the other side does.

HTTP libraries bound the wait for each single piece, so that a byte now and then, or `100 Continue` for ever, keeps them
waiting for ever. Here every read and every write of a connection gets what is left of the time for the whole.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

SLOWEST = 1 << 14
"""Bytes a second: what is large has to move at least as fast, however long it takes."""
_PIECE = 1 << 16


class Pace:
    """The time that an exchange has left, of `seconds` at first; it runs only while `running`.

    What moves of a large body gives time back, at SLOWEST, but never more than `seconds` in all: so nothing stalls for
    longer than that, and nothing creeps.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Every read and write of this thread on a connection of a registry is bounded by what is left."""
        token = _CURRENT.set(self)
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._spend()
            _CURRENT.reset(token)

    def left(self) -> float:
        """Seconds. Raises TimeoutError where there are none."""
        self._spend()
        if self._left <= 0:
            raise TimeoutError(f"it is not complete after {self.seconds:g} s")
        return self._left

    def moved(self, count: int) -> None:
        """So many bytes of a large body went or came."""
        self._left = min(self.seconds, self._left + count / SLOWEST)

    def _spend(self) -> None:
        now = time.monotonic()
        self._left -= now - self._since
        self._since = now


_CURRENT: ContextVar[Pace] = ContextVar("pace")


class PacedSocket:
    """A connected socket, with or without TLS, whose reads and writes have the time that the running Pace has left."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        """As that of a socket, for reading."""
        self._inner._io_refs += 1
        return io.BufferedReader(socket.SocketIO(self, "r"))  # type: ignore[arg-type]

    def recv_into(self, buffer: Any) -> int:
        """As that of a socket."""
        self._bounded()
        return int(self._inner.recv_into(buffer))

    def sendall(self, data: Any) -> None:
        """As that of a socket; what is large may take long, if it moves."""
        with memoryview(data) as view, view.cast("B") as octets:
            start = 0
            while start < len(octets):
                pace = self._bounded()
                sent = self._inner.send(octets[start : start + _PIECE])
                if pace:
                    pace.moved(sent)
                start += sent

    def _bounded(self) -> Pace | None:
        pace = _CURRENT.get(None)
        if pace:
            self._inner.settimeout(pace.left())
        return pace
