"""Open an interactive shell in the exact image, with services linked as for the tests."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from relman.ci.engine.containers import create, object_name, start, wait
from relman.ci.testing.run_context import Bench, Linked
from relman.docker.local import LocalClient
from relman.local.terminal import has_terminal, raw_terminal, resized, write_all
from relman.model.errors import EngineError, TestsFailed, UsageError
from relman.model.image import ImageId
from relman.model.service import TestStage

SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec /bin/sh")
_WHAT = "cannot open a shell"
_CHUNK = 65536


def require_terminal() -> None:
    """Raise UsageError unless standard input and output are a terminal."""
    if not has_terminal():
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
        with resized(partial(_resize, client, container)), raw_terminal():
            _relay(stream)
    return wait(client, _WHAT, container)


def _resize(client: LocalClient, container: str, lines: int, columns: int) -> None:
    params = {"h": lines, "w": columns}
    client.ask(_WHAT, "POST", "/containers/{}/resize", container, params=params)


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
            write_all(sys.stdout.fileno(), data)
        elif typed := os.read(sys.stdin.fileno(), _CHUNK):
            stream.sendall(typed)
        else:
            sources = [stream]
