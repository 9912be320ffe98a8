"""Run commands on this machine, each in its own session and process group (setsid(2), kill(2)).

So Ctrl-C at the terminal reaches relman alone, and relman can end a command with all processes that it started in the
group.
"""

from __future__ import annotations

import codecs
import io
import math
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Self

from relman.model.errors import Cancelled

GRACE = 5.0
"""Seconds that a group has between SIGTERM and SIGKILL."""

_TICK = 0.02
_LINGER = 1.0  # seconds: for a killed process to exit, and for output that a process outside the group keeps open
_PIECE, _KEPT = 1 << 16, 1 << 20

Sink = Callable[[bytes], None]


def start(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in its own group, with the `options` of subprocess.Popen. Raises OSError."""
    return subprocess.Popen(argv, start_new_session=True, **options)  # noqa: S603  # each caller says why it may run


def ended(process: subprocess.Popen[bytes]) -> os.waitid_result | None:
    """How the command ended; None if it still runs. It stays a zombie, so that its process and group ids are not
    reused."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def end(process: subprocess.Popen[bytes], grace: float, pause: Callable[[float], object] = time.sleep) -> None:
    """End a command and its group: SIGTERM, then SIGKILL after `grace` seconds, or when `pause`, which waits, raises.
    With `grace` 0, SIGKILL at once."""
    try:
        give_up = time.monotonic() + grace
        if grace and _signal(process, signal.SIGTERM):
            while _is_there(process) and time.monotonic() < give_up:
                pause(_TICK)
    finally:
        _signal(process, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LINGER)


def run(
    argv: Sequence[str],
    output: Sink,
    *,
    env: Mapping[str, str],
    errors: Sink | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
    cancel: threading.Event | None = None,
) -> int | None:
    """Run a command without input, pass on its output, and return its exit code (negative: the signal that ended it),
    or None if it did not end within `timeout` seconds.

    `errors` receives standard error; without it, `output` does. Both are called in this thread, must limit what they
    keep, and end the command if they raise. No process of its group outlives this call: a timeout or an exception ends
    the group with GRACE, and processes that the command leaves behind are killed. A process that left the group is not
    ended, and its output is not waited for. Raises OSError if the command cannot be started, Cancelled when `cancel` is
    set.
    """
    stderr = subprocess.STDOUT if errors is None else subprocess.PIPE
    process = start(argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
    with _Pipes({process.stdout: output, process.stderr: errors}) as pipes:
        try:
            in_time = _wait(process, shlex.join(argv), pipes, timeout, cancel)
        except (Cancelled, KeyboardInterrupt):
            _finish(process, pipes, GRACE)
            raise
        except BaseException:  # of a sink, which is not to be asked again
            end(process, GRACE)
            raise
        _finish(process, pipes, 0 if in_time else GRACE)
    return process.returncode if in_time else None


def text(sink: Callable[[str], None]) -> Sink:
    """A sink for bytes that passes them to `sink` as text: UTF-8, with every line ending as a newline."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    return lambda piece: sink(decoder.decode(piece))


class Tail:
    """A sink that keeps the last MiB."""

    def __init__(self) -> None:
        self._kept = b""

    def __call__(self, piece: bytes) -> None:
        """Add the next piece."""
        self._kept = (self._kept + piece)[-_KEPT:]

    @property
    def lines(self) -> list[str]:
        """The kept output, as text."""
        return self._kept.decode(errors="replace").splitlines()


def _wait(
    process: subprocess.Popen[bytes], what: str, pipes: _Pipes, timeout: float | None, cancel: threading.Event | None
) -> bool:
    """Whether the command ended by itself within `timeout` seconds."""
    give_up = math.inf if timeout is None else time.monotonic() + timeout
    while not ended(process):
        if cancel and cancel.is_set():
            raise Cancelled(f"cancelled while {what} ran")
        if time.monotonic() > give_up:
            return False
        pipes.hand_on(_TICK)
    return True


def _finish(process: subprocess.Popen[bytes], pipes: _Pipes, grace: float) -> None:
    """End a command, and hand on what it still says."""
    end(process, grace, pipes.hand_on)
    pipes.drain(_LINGER)


class _Pipes:
    """The pipes of a command, and the sink of each."""

    def __init__(self, sinks: Mapping[IO[bytes] | None, Sink | None]) -> None:
        self._open = selectors.DefaultSelector()
        for pipe, sink in sinks.items():
            if pipe:
                self._open.register(pipe, selectors.EVENT_READ, sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._open.get_map().values()):
            self._close(key.fileobj)
        self._open.close()

    def hand_on(self, wait: float) -> None:
        """Pass on the output that is there, or comes within `wait` seconds."""
        for key, _ in self._open.select(wait):
            piece = os.read(key.fd, _PIECE)
            if piece:
                key.data(piece)
            else:
                self._close(key.fileobj)

    def drain(self, longest: float) -> None:
        """Pass on the rest, for at most `longest` seconds."""
        give_up = time.monotonic() + longest
        while self._open.get_map() and time.monotonic() < give_up:
            self.hand_on(_TICK)

    def _close(self, pipe: Any) -> None:
        self._open.unregister(pipe)
        pipe.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal the group; whether it has a process that may be signalled."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_there(process: subprocess.Popen[bytes]) -> bool:
    """Whether the group has a process. Its id is not reused before the last one ends (setsid(2))."""
    process.poll()
    return _signal(process, 0)
