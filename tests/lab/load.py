"""Requests without a pause, and a count of those that failed: what users see of a change.

No request is made twice, but one of HTTP/2 that the server said it had not looked at (tests/lab/load_http2.py).
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.lab import load_http2
from tests.lab.counted import IDLE, MIDDLE, PIECES, TIMEOUT, Counted, Target, judge, running


@dataclass(frozen=True)
class Users:
    """How many there are of each kind: with a `new` connection for each request, with one that they have `kept` as long
    as it is not said to close, with `uploads` in chunks, with `slow` answers, and with several requests at once on a
    connection of `http2`. Each waits for `pause` seconds before the next request."""

    new: int = 2
    kept: int = 2
    uploads: int = 0
    slow: int = 0
    http2: int = 0
    pause: float = 0.005


@contextmanager
def load(*targets: Target, users: Users | None = None) -> Iterator[Counted]:
    """Ask each target during the block."""
    users, counted, stop = users or Users(), Counted(), threading.Event()
    kinds: list[tuple[int, Callable[[Target, Counted, Callable[[], bool]], None]]] = [
        (users.new, partial(_ask, "new", False)),
        (users.kept, partial(_ask, "kept", True)),
        (users.uploads, partial(_ask, "upload", True)),
        (users.slow, partial(_ask, "slow", True)),
        (users.http2, load_http2.ask),
    ]
    with running(
        *(
            partial(ask, target, counted, partial(stop.wait, users.pause))
            for target in targets
            for count, ask in kinds
            for _ in range(count)
        ),
        stop=stop,
    ):
        yield counted


class _Connection(http.client.HTTPConnection):
    """Made as the target says."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.address, target.port, timeout=TIMEOUT)
        self.target = target

    def connect(self) -> None:
        self.sock = self.target.open()


def _ask(kind: str, keep: bool, target: Target, counted: Counted, over: Callable[[], bool]) -> None:
    connection, ended = _Connection(target), 0.0
    while not over():
        begin = time.monotonic()
        if begin - ended > IDLE:
            connection.close()
        try:
            _send(connection, kind)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            after, idle = time.monotonic() - begin, begin - ended if ended else 0.0
            counted.failed(f"{kind}: {type(error).__name__}: {error}, after {after:.3f} s; idle before: {idle:.3f} s")
            connection.close()
            continue
        ended = time.monotonic()
        took = ended - begin if kind in ("new", "kept") else None
        judge(counted, kind, answer.status, text, took)
        if not keep or answer.will_close:
            connection.close()
    with closing(connection):
        pass


def _send(connection: _Connection, kind: str) -> None:
    target = connection.target
    if kind == "upload":
        connection.request("POST", target.path + kind, _pieces(), {"Host": target.host}, encode_chunked=True)
        return
    connection.request("GET", target.path + kind if kind == "slow" else target.path, headers={"Host": target.host})


def _pieces() -> Iterator[bytes]:
    for number, piece in enumerate(PIECES):
        if number:
            time.sleep(MIDDLE)
        yield piece
