"""The Engine API's "exec": a command run in a container beside its own process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from relman.docker import answers
from relman.docker.client import Client

_PAUSE = 0.05


def create(
    client: Client, what: str, container: str, argv: Sequence[str], *, stdin: bool = False, terminal: bool = False
) -> str:
    """Have `argv` ready to run in a container; returns its id. Raises EngineError, NotFound or Unreachable."""
    body = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Tty": terminal, "Cmd": list(argv)}
    answer = client.ask(what, "POST", "/containers/{}/exec", container, body=body)
    with client.reading(what):
        return answers.id_of(answer)


def start(client: Client, what: str, begun: str) -> None:
    """Run it, without its output. Raises EngineError, NotFound or Unreachable."""
    client.ask(what, "POST", "/exec/{}/start", begun, body={"Detach": True, "Tty": False})


def look(client: Client, what: str, begun: str) -> answers.Exec:
    """How it is doing. Raises EngineError, NotFound or Unreachable."""
    return client.get(what, "/exec/{}/json", begun, read=answers.execution)


def ended(client: Client, what: str, begun: str, until: float) -> int | None:
    """Its exit code, for whose end this waits `until` then (time.monotonic); None while it runs. Raises EngineError,
    NotFound or Unreachable."""
    while (state := look(client, what, begun)).running:
        if time.monotonic() >= until:
            return None
        time.sleep(_PAUSE)
    return state.code


class Repeated:
    """A command run in a container again and again, one at a time, never waiting for one that hangs."""

    def __init__(self, client: Client, what: str, container: str) -> None:
        self._client = client
        self._what = what
        self._container = container
        self._running = ""

    def poll(self, argv: Sequence[str]) -> int | None:
        """The exit code of the one that was begun, or else of `argv`, begun now; None while it runs. Raises
        EngineError, NotFound or Unreachable."""
        if not self._running:
            self._running = create(self._client, self._what, self._container, argv)
            start(self._client, self._what, self._running)
        now = look(self._client, self._what, self._running)
        if now.running:
            return None
        self._running = ""
        return now.code
