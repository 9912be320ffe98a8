"""Commands run in a container beside its own process (Engine API, "exec").

The API ends none of them: one that is late goes on running, and as long as it does no second one is begun.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from relman.docker import execs, streams
from relman.docker.attached import Attached, attached, started
from relman.docker.channels import HostClient
from relman.hosts.ssh.bounded import Bounds
from relman.hosts.ssh.connection import PATIENCE, Connection
from relman.hosts.ssh.foreign_errors import late
from relman.model.container import Container
from relman.model.errors import NotFound

_KEPT = 4096
_MOST = 1 << 20
_MOST_EARLIER = 20


@dataclass(frozen=True)
class Ran:
    """How it ended: its exit code, None where it still runs; and the end of what it printed."""

    code: int | None
    output: str = ""


class Inside:
    """What is run in the containers of one host."""

    def __init__(self, client: HostClient, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def attach(
        self, container: Container, argv: Sequence[str], *, terminal: bool
    ) -> contextlib.AbstractContextManager[Attached]:
        """Run `argv` in a container as a person does, with its streams. Leaving does not end it. Raises EngineError,
        NotFound or Unreachable."""
        return attached(self._client, container.id, argv, terminal=terminal)

    def start(self, container: str, *, terminal: bool) -> contextlib.AbstractContextManager[Attached]:
        """Start a container that its engine removes at its end, for a person to use. Leaving ends its input, no more.
        Raises EngineError, NotFound or Unreachable."""
        return started(self._client, container, terminal=terminal)

    def run(self, container: Container, argv: Sequence[str], seconds: float) -> Ran:
        """Run `argv` in a container as it was just inspected, and wait `seconds` for its end, or for that of the same
        command begun earlier, instead of which none is begun. Raises EngineError, NotFound or Unreachable."""
        what, until = f"a command in container {container.name}", time.monotonic() + seconds
        if any(self._still(what, earlier, argv, until) for earlier in container.execs[:_MOST_EARLIER]):
            return Ran(None)
        begun = execs.create(self._client, what, container.id, argv)
        output = self._output(what, begun, seconds)
        return Ran(execs.ended(self._client, what, begun, until), output)

    def _still(self, what: str, earlier: str, argv: Sequence[str], until: float) -> bool:
        with contextlib.suppress(NotFound):
            same = execs.look(self._client, what, earlier).argv == tuple(argv)
            return same and execs.ended(self._client, what, earlier, until) is None
        return False

    def _output(self, what: str, begun: str, seconds: float) -> str:
        """Start it. The end of what it prints until it closes its output, for `seconds` or the first MiB; nothing where
        each stream takes one more session of sshd, which may have no more."""
        detached = not self._connection.streamlocal
        if detached:
            execs.start(self._client, what, begun)
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
