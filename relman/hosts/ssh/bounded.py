"""A socket over an SSH channel whose every wait and every answer has an end: it counts its bytes and its time, whatever
of an answer is header, body or `100 Continue`."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paramiko

MOST_BYTES = 8 << 20  # of an answer: some thousand containers
MOST_HEAD = 1 << 20
_ANSWER = b"HTTP/1."
_PART = 1 << 15
_PULSE = 25.0  # seconds of silence in a stream after which is asked whether anybody lives there


@dataclass(frozen=True)
class Bounds:
    """What an answer may take: `seconds` and `size` in all. With `stall` it is a stream, of which both bound only the
    beginning: then it goes on as long as it makes progress, which whoever reads it says, within so many seconds."""

    seconds: float
    size: int = MOST_BYTES
    stall: float | None = None


class Late(TimeoutError):
    """Nothing came for so many seconds, or not all of it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


class TooLarge(OSError):
    """An answer is larger than answers are."""

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
            self._owner.let_go()


class ChannelSocket:
    """As much of a socket as http.client needs, over a channel; every wait and every answer has an end. Like a socket
    it stays open while a file of it is. `pulse` is called while a stream is silent: it raises when nobody lives
    there."""

    def __init__(self, channel: paramiko.Channel, process: bool, pulse: Callable[[], None] = lambda: None) -> None:
        self.channel = channel
        self._process = process
        self._pulse = pulse
        self._files = 0
        self._closing = False
        self._noise = process
        self.bound(Bounds(0.0))

    def bound(self, bounds: Bounds) -> None:
        """From now on: what the next answer may take."""
        self._bounds = bounds
        self._left: float = bounds.size
        self._wait(bounds.seconds)

    def flow(self) -> None:
        """The beginning of a stream is there, or it has made progress."""
        if self._bounds.stall is not None:
            self._left = math.inf
            self._wait(self._bounds.stall)

    def _wait(self, seconds: float) -> None:
        self._patience, self._until = seconds, time.monotonic() + seconds

    def settimeout(self, seconds: float | None) -> None:
        """Nothing: the bounds say how long is waited."""

    def sendall(self, data: Any) -> None:
        """Send all. Raises Late when it is not taken in time."""
        rest = memoryview(data).cast("B")
        while rest:
            self.channel.settimeout(self._seconds())
            try:
                sent = self.channel.send(rest[:_PART].tobytes())
            except BrokenPipeError:  # urllib3 would go on, and wait for an answer
                sent = 0
            if not sent:
                raise ConnectionResetError
            rest = rest[sent:]

    def recv(self, size: int) -> bytes:
        """Some bytes, or none at the end. Raises Late or TooLarge by the bounds; a process that ended on its
        own raises ConnectionError with its words."""
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
        """The time that is left. Raises Late when there is none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Late(self._patience)
        return left

    def _first(self, size: int) -> bytes:
        """The first bytes of the engine, without what the user's shell said before (an echo in a .bashrc)."""
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
        """A buffered reader; http.client asks for nothing else."""
        self._files += 1
        return io.BufferedReader(_Reader(self), 65536)

    def let_go(self) -> None:
        """A file of it was closed."""
        self._files -= 1
        if self._closing and not self._files:
            self._close()

    def close(self) -> None:
        """Close now, or when the last file is closed."""
        self._closing = True
        if not self._files:
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # what the end of a dead connection raises tells nothing new
            self.channel.close()
