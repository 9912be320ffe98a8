"""Python modules as processes of their own, forked from one that has loaded relman and waits.

A command run so has its own process, variables, directory and streams, ends by itself, and can be killed, as
`python -m MODULE` can; the third of a second that loading its libraries costs is spent once.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import relman

_CLONE_NEWNET = 0x40000000  # of setns(2); os.setns comes with Python 3.12
_BY_MAIN = ("relman.__main__", "relman.ledger.migrations.env")  # what only runs, and cannot be imported


class Fork:
    """A process that began; its process id is `pid`."""

    def __init__(self, connection: socket.socket) -> None:
        self._answers = connection
        self._mutex = threading.Lock()
        self._code: int | None = None
        self.pid = int(self._line())

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or a signal's number below 0. Raises TimeoutExpired after `timeout` seconds."""
        with self._mutex:
            if self._code is None:
                self._answers.settimeout(timeout)
                try:
                    self._code = int(self._line())
                except TimeoutError as error:
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0) from error
                self._answers.close()
            return self._code

    def poll(self) -> int | None:
        """Its exit code once it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0.001)
        return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _line(self) -> bytes:
        return self._answers.recv(100)


def start(
    module: str,
    *arguments: str,
    cwd: Path | None,
    env: Mapping[str, str],
    out: IO[str],
    err: IO[str],
    network: Path | None = None,
) -> Fork:
    """Begin `python -m MODULE ARGUMENTS`, with no input, in this network namespace or in this process's own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, TemporaryFile() as request:
        where = {"cwd": str(cwd or Path.cwd()), "network": str(network or "")}
        said = {"argv": [module, *arguments], "env": dict(env), **where}
        request.write(json.dumps(said).encode())
        request.flush()
        socket.send_fds(_server()[0], [b"."], [theirs.fileno(), request.fileno(), out.fileno(), err.fileno()])
    return Fork(ours)


def run(
    module: str,
    *arguments: str,
    cwd: Path | None,
    env: Mapping[str, str],
    timeout: float | None = None,
    network: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. It is killed after `timeout` seconds, and TimeoutExpired is raised."""
    with TemporaryFile("w+", errors="replace") as out, TemporaryFile("w+", errors="replace") as err:
        fork = start(module, *arguments, cwd=cwd, env=env, out=out, err=err, network=network)
        try:
            code = fork.wait(timeout)
        except subprocess.TimeoutExpired:
            os.kill(fork.pid, signal.SIGKILL)
            raise
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess([module, *arguments], code, out.read(), err.read())


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Where to ask for forks, and who is asked: a process that ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.forks", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=Path(__file__).parents[2],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
    atexit.register(_end, ours, server)
    return ours, server


def _end(asked: socket.socket, server: subprocess.Popen[bytes]) -> None:
    asked.close()
    server.wait()


def _serve(asked: socket.socket) -> None:
    """Fork for every request. Returns in the process that was asked for, as what it is to be."""
    while True:
        _, fds, _, _ = socket.recv_fds(asked, 1, 4)
        if not fds:
            os._exit(0)  # nobody can ask any more
        if not os.fork():
            asked.close()
            return _supervise(*fds)
        for fd in fds:
            os.close(fd)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _supervise(connection: int, request: int, out: int, err: int) -> None:
    """Begin what was asked for, say which process it is, and how it ended."""
    with os.fdopen(request, "rb") as file:
        file.seek(0)
        said = json.load(file)
    pid = os.fork()
    if not pid:
        os.close(connection)
        return _become(**said, out=out, err=err)
    os.close(out)
    os.close(err)
    with contextlib.suppress(BrokenPipeError):
        os.write(connection, str(pid).encode())
        _, status = os.waitpid(pid, 0)
        os.write(connection, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(argv: list[str], cwd: str, env: Mapping[str, str], network: str, out: int, err: int) -> None:
    for fd, stream in ((out, 1), (err, 2)):
        os.dup2(fd, stream)
        os.close(fd)
    sys.stdout = os.fdopen(1, "w", closefd=False)  # what they are is seen when they are opened
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    if network:
        with Path(network).open() as namespace:
            if ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(f"cannot enter {network}")
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    sys.argv = argv


def _load() -> None:
    """Load all of relman, and so what it uses."""
    for module in pkgutil.walk_packages(relman.__path__, "relman."):
        if module.name not in _BY_MAIN:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
