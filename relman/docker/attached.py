"""A command in a container with its input, output and terminal, as a person uses it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relman.docker import execs, streams
from relman.docker.channels import HostClient
from relman.docker.upgraded import Upgraded
from relman.model.errors import EngineError

_SETTLING = 10.0  # seconds in which an engine notices the end of a command whose output has ended
_PAUSE = 0.05


@dataclass(frozen=True)
class Attached:
    """A command that runs. Every call raises EngineError, NotFound or Unreachable."""

    client: HostClient
    what: str
    id: str
    stream: Upgraded
    terminal: bool

    def output(self) -> Iterator[tuple[int, bytes]]:
        """What it prints as it comes, each part with its file descriptor: 1, or 2 for errors where it has no
        terminal."""
        with self.client.edge(self.what):
            if self.terminal:
                yield from ((1, part) for part in self.stream.parts)
            else:
                yield from streams.frames(self.stream.parts)

    def send(self, data: bytes) -> None:
        """Give it something to read."""
        with self.client.edge(self.what):
            self.stream.send(data)

    def end_input(self) -> None:
        """Let it read the end of its input."""
        with self.client.edge(self.what):
            self.stream.end_input()

    def resize(self, lines: int, columns: int) -> None:
        """Tell its terminal how large it is."""
        params = {"h": lines, "w": columns}
        self.client.ask(self.what, "POST", "/exec/{}/resize", self.id, params=params)

    def exit_code(self) -> int:
        """Its exit code, once its output has ended."""
        until = time.monotonic() + _SETTLING
        while (state := execs.look(self.client, self.what, self.id)).running:
            if time.monotonic() >= until:
                raise EngineError(f"{self.what} still runs, and its output has ended", host=self.client.host)
            time.sleep(_PAUSE)
        return state.code


@contextlib.contextmanager
def attached(client: HostClient, container: str, argv: Sequence[str], *, terminal: bool) -> Iterator[Attached]:
    """Run `argv` in a container. Leaving does not end it."""
    what = f"a command in container {container[:12]}"
    id = execs.create(client, what, container, argv, stdin=True, terminal=terminal)
    stream = client.upgrade(what, "/exec/{}/start", id, body={"Detach": False, "Tty": terminal})
    try:
        yield Attached(client, what, id, stream, terminal)
    finally:
        stream.close()
