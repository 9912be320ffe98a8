"""Commands run in a container beside its own process (Engine API, "exec").

The API ends none of them: one that is late goes on running, and as long as it does no second one is begun.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from relman.docker import answers, streams
from relman.docker.client import Client
from relman.hosts.ssh.bounded import Bounds
from relman.hosts.ssh.connection import PATIENCE, Connection
from relman.hosts.ssh.foreign_errors import late
from relman.model.container import Container
from relman.model.errors import NotFound

_KEPT = 4096
_MOST = 1 << 20
_MOST_EARLIER = 20
_PAUSE = 0.05


@dataclass(frozen=True)
class Ran:
    """How it ended: its exit code, None where it still runs; and the end of what it printed."""

    code: int | None
    output: str = ""


def create(client: Client, what: str, container: str, argv: Sequence[str]) -> str:
    """Have `argv` ready to run in a container; returns its id. Raises EngineError, NotFound or Unreachable."""
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
    answer = client.ask(what, "POST", "/containers/{}/exec", container, body=body)
    with client.reading(what):
        return answers.id_of(answer)


def start(client: Client, what: str, begun: str) -> None:
    """Run it, without its output. Raises EngineError, NotFound or Unreachable."""
    client.ask(what, "POST", "/exec/{}/start", begun, body={"Detach": True, "Tty": False})


def look(client: Client, what: str, begun: str) -> answers.Exec:
    """How it is doing. Raises EngineError, NotFound or Unreachable."""
    return client.get(what, "/exec/{}/json", begun, read=answers.execution)


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


class Inside:
    """What is run in the containers of one host."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def run(self, container: Container, argv: Sequence[str], seconds: float) -> Ran:
        """Run `argv` in a container as it was just inspected, and wait `seconds` for its end, or for that of the same
        command begun earlier, instead of which none is begun. Raises EngineError, NotFound or Unreachable."""
        what, until = f"a command in container {container.name}", time.monotonic() + seconds
        if any(self._still(what, earlier, argv, until) for earlier in container.execs[:_MOST_EARLIER]):
            return Ran(None)
        begun = create(self._client, what, container.id, argv)
        output = self._output(what, begun, seconds)
        return Ran(self._end(what, begun, until), output)

    def _still(self, what: str, earlier: str, argv: Sequence[str], until: float) -> bool:
        with contextlib.suppress(NotFound):
            return look(self._client, what, earlier).argv == tuple(argv) and self._end(what, earlier, until) is None
        return False

    def _output(self, what: str, begun: str, seconds: float) -> str:
        """Start it. The end of what it prints until it closes its output, for `seconds` or the first MiB; nothing where
        each stream takes one more session of sshd, which may have no more."""
        detached = not self._connection.streamlocal
        if detached:
            start(self._client, what, begun)
            return ""
        kept, count, body = b"", 0, {"Detach": False, "Tty": False}
        bounds = Bounds(PATIENCE, stall=seconds)
        with self._client.stream(what, "POST", "/exec/{}/start", begun, params={}, body=body, bounds=bounds) as stream:
            try:
                for part in streams.unframed(stream.parts):
                    kept, count = (kept + part)[-_KEPT:], count + len(part)
                    if count > _MOST:
                        break
            except Exception as error:
                if not late(error):
                    raise
        return kept.decode(errors="replace")

    def _end(self, what: str, begun: str, until: float) -> int | None:
        while True:
            state = look(self._client, what, begun)
            if not state.running:
                return state.code
            if time.monotonic() >= until:
                return None
            time.sleep(_PAUSE)
