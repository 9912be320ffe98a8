"""A socket over an SSH channel that bounds the bytes and the time of every response, whatever they are: header, body,
or `100 Continue`."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko

MOST_BYTES = 8 << 20  # of a response: a list of some thousand containers
MOST_HEAD = 1 << 20
_ANSWER = b"HTTP/1."
_PART = 1 << 15
_PULSE = 25.0  # seconds of silence in a stream after which the engine is checked


@dataclass(frozen=True)
class Bounds:
    """The limits of a response: `seconds` and `size` (bytes) in all.

    With `stall` it is a stream, of which these bound only the beginning; then each step of progress, which the reader
    reports with `flow`, allows another `stall` seconds.
    """

    seconds: float
    size: int = MOST_BYTES
    stall: float | None = None


class Late(TimeoutError):
    """No response, or not all of it, within so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


class TooLarge(OSError):
    """A response exceeds its limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f"its answer is larger than {size >> 20} MiB")


class _Reader(io.RawIOBase):
    def __init__(self, owner: ChannelSocket) -> None:
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._owner.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._owner.file_closed()


class ChannelSocket:
    """The part of a socket that http.client needs, over a channel, with bounds.

    Like a socket it stays open while one of its files is open. `process` is whether the other end is a program that a
    shell started. `pulse` is called while a stream is silent, and raises if the engine is gone.
    """

    def __init__(self, channel: paramiko.Channel, process: bool, pulse: Callable[[], None] = lambda: None) -> None:
        self.channel = channel
        self._process = process
        self._pulse = pulse
        self._files = 0
        self._closing = False
        self._noise = process
        self.bound(Bounds(0.0))

    def bound(self, bounds: Bounds) -> None:
        """Set the limits of the next response."""
        self._bounds = bounds
        self._left: float = bounds.size
        self._wait(bounds.seconds)

    def flow(self) -> None:
        """Report that the beginning of a stream is complete, or that it has made progress."""
        if self._bounds.stall is not None:
            self._left = math.inf
            self._wait(self._bounds.stall)

    def _wait(self, seconds: float) -> None:
        self._patience, self._until = seconds, time.monotonic() + seconds

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing: the bounds decide."""

    def sendall(self, data: Any) -> None:
        """Send all bytes. Raises Late if they are not accepted in time."""
        rest = memoryview(data).cast("B")
        while rest:
            self.channel.settimeout(min(self._seconds(), _PULSE))
            try:
                sent = self.channel.send(rest[:_PART].tobytes())
            except TimeoutError:
                continue
            except BrokenPipeError:  # urllib3 would ignore it and wait for a response
                sent = 0
            if not sent:
                raise ConnectionResetError
            rest = rest[sent:]

    def recv(self, size: int) -> bytes:
        """Return some bytes, or none at the end.

        Raises Late or TooLarge by the bounds, ConnectionError with the last words of a process that ended.
        """
        data = self._first(size) if self._noise else self._receive(size)
        if not data and self._process and self.channel.recv_stderr_ready():
            raise ConnectionError(self.channel.recv_stderr(4096).decode(errors="replace").strip())
        return data

    def _receive(self, size: int) -> bytes:
        while True:
            self.channel.settimeout(min(self._seconds(), _PULSE))
            try:
                data = self.channel.recv(size)
            except TimeoutError:
                self._seconds()
                if self._bounds.stall is not None:
                    self._pulse()
                continue
            self._left -= len(data)
            if self._left < 0:
                raise TooLarge(self._bounds.size)
            return data

    def _seconds(self) -> float:
        """The seconds that are left. Raises Late if there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Late(self._patience)
        return left

    def _first(self, size: int) -> bytes:
        """The first bytes of the engine, without output of the user's shell before it (an echo in .bashrc)."""
        said, skipped = b"", 0
        while _ANSWER not in said:
            skipped += len(said)
            keep = said[1 - len(_ANSWER) :]
            if skipped > MOST_HEAD or not (data := self._receive(max(1, size - len(keep)))):
                return b""
            said = keep + data
        self._noise = False
        return said[said.index(_ANSWER) :]

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return not (self.channel.closed or self.channel.eof_received or self.channel.recv_ready())

    def makefile(self, _mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        """Return a buffered reader; http.client needs nothing else."""
        self._files += 1
        return io.BufferedReader(_Reader(self), 65536)

    def file_closed(self) -> None:
        """Note that one of its files was closed."""
        self._files -= 1
        if self._closing and not self._files:
            self._close()

    def close(self) -> None:
        """Close now, or when the last file is closed."""
        self._closing = True
        if not self._files:
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # closing a channel of a dead connection may raise anything
            self.channel.close()
