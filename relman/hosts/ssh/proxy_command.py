"""Connect through a ProxyCommand (ssh_config(5)): run as ssh runs it, and killed with the connection."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
import weakref
from typing import IO

from relman.local import process_group
from relman.model.host import ProxyCommand

_PATIENCE = 0.5  # seconds to wait for a failed command's exit and its last output
_PAUSE = 0.02
_LONGEST = 300

_running: weakref.WeakSet[ProxySocket] = weakref.WeakSet()


class ProxySocket(socket.socket):
    """A socket whose other end is the command's standard input and output. Closing it kills the command's process
    group.

    Raises OSError if there is no shell.
    """

    def __init__(self, proxy: ProxyCommand) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(fileno=ours.detach())
        self._last = b""
        self._how: str | None = None
        self._mutex = threading.Lock()
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            with theirs:
                self._process = process_group.start(  # the user's own ssh_config says so
                    [shell, "-c", f"exec {proxy.command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
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
        """How the command ended by itself; "" if it did not."""
        with self._mutex:
            if self._how is None:
                self._how = self._found()
        self._reader.join(_PATIENCE if self._how else 0)
        return f"{self._how}: {self.last_words}" if self._how and self.last_words else self._how

    def _found(self) -> str:
        """How it ended, after a short wait if it has closed its output."""
        deadline = time.monotonic() + (_PATIENCE if self._hung_up() else 0)
        while not (ended := process_group.ended(self._process)):
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

    @property
    def last_words(self) -> str:
        """The last line of the command's standard error."""
        text = self._last.decode(errors="replace")
        return "".join(character if character.isprintable() else "?" for character in text)

    def close(self) -> None:
        """Close the socket, and kill the command's process group."""
        self.failed()
        super().close()
        self.end()

    def end(self) -> None:
        """Kill the command's process group."""
        with self._mutex:
            _running.discard(self)
            if self._process.returncode is None:
                process_group.end(self._process, grace=0)  # the connection is closed: it has nothing left to do


def end_all() -> None:
    """Kill the commands of all connections, because this process is about to exit without waiting for threads."""
    for each in list(_running):
        each.end()
