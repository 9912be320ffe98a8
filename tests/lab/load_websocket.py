"""Users of a WebSocket, counted apart: when a release goes, so do its WebSockets, and their users connect again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from tests.lab.counted import TIMEOUT, Counted, Target, running


@contextmanager
def talk(*targets: Target, pause: float = 0.1) -> Iterator[Counted]:
    """Say something to each target now and then during the block. A failure is a connection that is not made, and
    another answer than what was said; connections that were closed are of the kind "closed"."""
    counted, stop = Counted(), threading.Event()
    with running(*(partial(_talk, each, counted, partial(stop.wait, pause)) for each in targets), stop=stop):
        yield counted


def _talk(target: Target, counted: Counted, over: Callable[[], bool]) -> None:
    while not over():
        try:
            with connect(f"ws://{target.host}{target.path}", sock=target.open(), open_timeout=TIMEOUT) as socket:
                _say(socket, counted, over)
        except ConnectionClosed:
            counted.kinds["closed"] += 1
        except (OSError, InvalidHandshake) as error:
            counted.failed(f"{type(error).__name__}: {error}")


def _say(socket: ClientConnection, counted: Counted, over: Callable[[], bool]) -> None:
    while not over():
        socket.send("hello")
        version, _, word = str(socket.recv(TIMEOUT)).partition(" ")
        if word != "hello":
            counted.failed(f"another word: {word!r}")
        counted.answered(version, "said")
