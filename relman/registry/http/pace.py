"""A bound on the duration of a whole exchange with a registry, whatever the other side does.

HTTP libraries bound each single read, so a server that sends one byte now and then, or `100 Continue` repeatedly, can
block them forever. Here each read and write of a connection gets the time that is left for the whole exchange.
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
"""Bytes a second: the lowest rate at which a large body may move."""
_PIECE = 1 << 16


class Pace:
    """The time that an exchange has left, at first `seconds`; it is spent only while `running`.

    Each byte of a large body that moves gives time back, at the rate SLOWEST, up to `seconds`: so no exchange stalls
    for longer than `seconds`, and none is slower than SLOWEST.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Bound every read and write of this thread on a registry's connection by the time that is left."""
        token = _CURRENT.set(self)
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._spend()
            _CURRENT.reset(token)

    def left(self) -> float:
        """The seconds that are left. Raises TimeoutError if there are none."""
        self._spend()
        if self._left <= 0:
            raise TimeoutError(f"it is not complete after {self.seconds:g} s")
        return self._left

    def moved(self, count: int) -> None:
        """Give time back for `count` bytes of a large body, sent or received."""
        self._left = min(self.seconds, self._left + count / SLOWEST)

    def _spend(self) -> None:
        now = time.monotonic()
        self._left -= now - self._since
        self._since = now


_CURRENT: ContextVar[Pace] = ContextVar("pace")


class PacedSocket:
    """A connected socket, with or without TLS, whose reads and writes are bounded by the running Pace."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        """Like socket.makefile, for reading."""
        self._inner._io_refs += 1
        return io.BufferedReader(socket.SocketIO(self, "r"))  # type: ignore[arg-type]

    def recv_into(self, buffer: Any) -> int:
        """Like socket.recv_into."""
        self._bounded()
        return int(self._inner.recv_into(buffer))

    def sendall(self, data: Any) -> None:
        """Like socket.sendall, in pieces, each of which gives time back."""
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
