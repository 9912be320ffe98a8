"""Open an interactive shell in the exact image, with services linked as for the tests."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from relman.ci.engine.containers import create, object_name, start, wait
from relman.ci.testing.run_context import Bench, Linked
from relman.docker.local import LocalClient
from relman.model.errors import EngineError, TestsFailed, UsageError
from relman.model.image import ImageId
from relman.model.service import TestStage

SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec /bin/sh")
_WHAT = "cannot open a shell"
_CHUNK = 65536


def require_terminal() -> None:
    """Raise UsageError unless standard input and output are a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a shell needs a terminal", hint="Without one, name the commands in relman.yml and run `relman test`."
        )


def run_shell(bench: Bench, image: ImageId, linked: Mapping[str, Linked], stage: TestStage) -> int:
    """Open a shell in the image, with the tests' ENTRYPOINT and environment; return its exit code.

    Secrets in its output are not masked, because its user may read them anyway. Raises TestsFailed if the image has no
    shell, EngineError or Unreachable.
    """
    client, name = bench.client, object_name(bench.run, "shell")
    env, entrypoint = bench.env(name, linked, stage.env), stage.own_entrypoint
    container = create(
        client, bench.run, name, image, bench.network, command=SHELL, env=env, entrypoint=entrypoint, tty=True
    )
    with client.edge(_WHAT):
        stream = client.terminal(_WHAT, container)
        _start(client, container)
        with _resized(client, container), _raw_terminal():
            _relay(stream)
    return wait(client, _WHAT, container)


def _start(client: LocalClient, container: str) -> None:
    try:
        start(client, _WHAT, container)
    except EngineError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        hint = "The image needs /bin/sh. Does its ENTRYPOINT start what it is given? `test.entrypoint` may replace it."
        raise TestsFailed(error.what, hint=hint) from error


def _relay(stream: Any) -> None:
    """Forward input and output until the other side ends."""
    sources = [sys.stdin.fileno(), stream]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if stream in ready:
            if not (data := stream.recv(_CHUNK)):
                return
            _write(sys.stdout.fileno(), data)
        elif typed := os.read(sys.stdin.fileno(), _CHUNK):
            stream.sendall(typed)
        else:
            sources = [stream]


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass every key to the shell, including Ctrl-C; the terminal is restored afterwards."""
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _resized(client: LocalClient, container: str) -> Iterator[None]:
    """Keep the shell's terminal at the size of this one."""

    def resize(*_: object) -> None:
        size = shutil.get_terminal_size()
        params = {"h": size.lines, "w": size.columns}
        client.ask(_WHAT, "POST", "/containers/{}/resize", container, params=params)

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
