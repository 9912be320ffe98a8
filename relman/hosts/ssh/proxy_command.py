"""The way to a host through a command (ssh_config(5), ProxyCommand): run as ssh runs it, ended with the connection."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import weakref
from typing import IO

from relman.model.host import Proxy

_PATIENCE = 0.5  # seconds: for a command that just broke to end, and to say why
_PAUSE = 0.02
_LONGEST = 300

_running: weakref.WeakSet[ProxySocket] = weakref.WeakSet()


class ProxySocket(socket.socket):
    """The socket whose other end is the command's standard input and output. Closing it ends the command and whatever
    that began. Raises OSError where there is no shell."""

    def __init__(self, proxy: Proxy) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(fileno=ours.detach())
        self._last = b""
        self._how: str | None = None
        self._mutex = threading.Lock()
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # the user's own ssh_config says so
                    [shell, "-c", f"exec {proxy.command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except OSError:
            super().close()
            raise
        _running.add(self)
        self._reader = threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def _read_errors(self, errors: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), errors:
            while line := errors.readline(_LONGEST):
                self._last = line.strip() or self._last

    def failed(self) -> str:
        """How the command ended by itself; "" where it did not."""
        with self._mutex:
            if self._how is None:
                self._how = self._found()
        self._reader.join(_PATIENCE if self._how else 0)
        return f"{self._how}: {self.last_words}" if self._how and self.last_words else self._how

    def _found(self) -> str:
        """How it ended, waiting for that a moment where it has hung up."""
        deadline = time.monotonic() + (_PATIENCE if self._hung_up() else 0)
        while not (ended := self._ended()):
            if time.monotonic() > deadline:
                return ""
            time.sleep(_PAUSE)
        return f"{'exit code' if ended.si_code == os.CLD_EXITED else 'signal'} {ended.si_status}"

    def _hung_up(self) -> bool:
        try:
            return not self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _ended(self) -> os.waitid_result | None:
        """How it ended, if it did. It stays a zombie, and so its number and its group's are nobody else's yet."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None

    @property
    def last_words(self) -> str:
        """The last line that the command wrote to its standard error."""
        text = self._last.decode(errors="replace")
        return "".join(character if character.isprintable() else "?" for character in text)

    def close(self) -> None:
        """Close the socket, and end the command's process group."""
        self.failed()
        super().close()
        self.end()

    def end(self) -> None:
        """End the command's process group."""
        with self._mutex:
            _running.discard(self)
            if self._process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)


def end_all() -> None:
    """End the commands of all connections: the process is about to end, and waits for no thread."""
    for each in list(_running):
        each.end()
