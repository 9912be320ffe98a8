"""A command in a container with its input, output and terminal, as a person uses it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from relman.docker import answers, execs, streams
from relman.docker.channels import HostClient
from relman.docker.upgraded import Upgraded
from relman.model.errors import EngineError

_SETTLING = 10.0  # seconds in which an engine notices the end of a command whose output has ended


@dataclass(frozen=True)
class Attached:
    """A command that runs; `path` is where the engine has it. Every call raises EngineError, NotFound or
    Unreachable."""

    client: HostClient
    what: str
    path: str
    stream: Upgraded
    terminal: bool
    exit_code: Callable[[], int]
    """Its exit code, once its output has ended."""

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
        self.client.ask(self.what, "POST", f"{self.path}/resize", params={"h": lines, "w": columns})


@contextlib.contextmanager
def attached(client: HostClient, container: str, argv: Sequence[str], *, terminal: bool) -> Iterator[Attached]:
    """Run `argv` in a container that runs. Leaving does not end it."""
    what = f"a command in container {container[:12]}"
    id = execs.create(client, what, container, argv, stdin=True, terminal=terminal)
    stream = client.upgrade(what, "/exec/{}/start", id, body={"Detach": False, "Tty": terminal})

    def exit_code() -> int:
        code = execs.ended(client, what, id, time.monotonic() + _SETTLING)
        if code is None:
            raise EngineError(f"{what} still runs, and its output has ended", host=client.host)
        return code

    with contextlib.closing(stream):
        yield Attached(client, what, f"/exec/{id}", stream, terminal, exit_code)


@contextlib.contextmanager
def started(client: HostClient, container: str, *, terminal: bool) -> Iterator[Attached]:
    """Start a container that its engine removes at its end, and be its input and output. Leaving ends its input, no
    more."""
    what, path = f"container {container[:12]}", f"/containers/{container}"
    both = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
    with (
        contextlib.closing(client.upgrade(what, f"{path}/attach", params=both)) as stream,
        # Asked before it starts, because an engine that removes it knows nothing of it afterwards.
        contextlib.closing(client.upgrade(what, f"{path}/wait", params={"condition": "removed"})) as end,
    ):
        client.ask(what, "POST", f"{path}/start")
        yield Attached(client, what, path, stream, terminal, partial(_awaited, client, what, end))


def _awaited(client: HostClient, what: str, end: Upgraded) -> int:
    with client.edge(what):
        answer = json.loads(end.body())
    with client.reading(what):
        return answers.exit_code(answer)
