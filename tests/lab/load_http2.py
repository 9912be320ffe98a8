"""Users of HTTP/2 with several requests at a time on one connection (RFC 9113), for tests/lab/load.py.

A server that ends a connection sends GOAWAY with the number of the last stream that it answers (section 6.8): those up
to it must be answered, and those above it were not looked at and are asked again on the next connection. The library
h2 ends a connection on its side when it reads GOAWAY, and would lose the former: frames of that kind do not reach it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle

import h2.connection
import h2.events
import h2.exceptions

from tests.lab.counted import IDLE, MIDDLE, PIECES, TIMEOUT, Counted, Target, judge

Kinds = tuple[str, ...]
WAVES: tuple[Kinds, ...] = (("", "", "upload"), ("", "slow", ""))
"""What is asked for at the same time, below the target's path, one after the other."""
_HEAD = 9
_GOAWAY = 7
_ALL = 2**31 - 1
_PART = 1 << 16


def ask(target: Target, counted: Counted, over: Callable[[], bool]) -> None:
    """Ask until it is over."""
    waves: Iterator[Kinds] = cycle(WAVES)
    wanted: Kinds = ()
    while wanted or not over():
        try:
            with closing(Connection(target)) as connection:
                while wanted or not (over() or connection.ended()):
                    wanted = wanted or next(waves)
                    if wanted := connection.wave(wanted, counted):
                        counted.kinds["http2 again"] += len(wanted)
                        break
        except (OSError, h2.exceptions.ProtocolError, EOFError) as error:
            for _ in wanted or ("connection",):
                counted.failed(f"http2: {type(error).__name__}: {error}")
            wanted = ()


@dataclass
class _Stream:
    """A request that is under way."""

    kind: str
    status: int = 0
    body: bytes = b""
    begin: float = field(default_factory=time.monotonic)
    ended: float | None = None


class Connection:
    """A connection to a target. Raises OSError, EOFError where the server ends it without a word, and h2's errors."""

    def __init__(self, target: Target) -> None:
        self._last = _ALL  # the last stream that is answered
        self._going = False
        self._target = target
        self._bytes = b""
        self._asked = time.monotonic()
        self._state = h2.connection.H2Connection()
        self._streams: dict[int, _Stream] = {}
        self._socket = target.open("h2")
        self._state.initiate_connection()
        self._flush()

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def ended(self) -> bool:
        """Whether nothing more is to be asked here: the server has said or shown so, or it has been idle for long."""
        if time.monotonic() - self._asked > IDLE:
            return True
        self._socket.settimeout(0)
        try:
            while True:
                self._read()
        except (BlockingIOError, ssl.SSLWantReadError):
            return self._going
        except (OSError, EOFError):
            return True
        finally:
            self._socket.settimeout(TIMEOUT)

    def wave(self, kinds: Kinds, counted: Counted) -> Kinds:
        """Ask for these at once and wait for all answers; returns those that the server did not look at."""
        self._streams = {}
        for kind in kinds:
            self._begin(kind)
        if "upload" in kinds:
            time.sleep(MIDDLE)
            for number, stream in self._streams.items():
                if stream.kind == "upload" and number <= self._last:
                    self._state.send_data(number, PIECES[1], end_stream=True)
        self._flush()
        while any(number <= self._last and each.ended is None for number, each in self._streams.items()):
            self._read()
        for number, each in self._streams.items():
            if number <= self._last:
                took = each.ended - each.begin if each.ended and not each.kind else None
                judge(counted, f"http2 {each.kind}".strip(), each.status, each.body.decode().strip(), took)
        self._asked = time.monotonic()
        return tuple(each.kind for number, each in self._streams.items() if number > self._last)

    def _begin(self, kind: str) -> None:
        number, upload = self._state.get_next_available_stream_id(), kind == "upload"
        self._streams[number] = _Stream(kind)
        asked = {":method": "POST" if upload else "GET", ":path": self._target.path + kind, ":scheme": "https"}
        self._state.send_headers(number, [*asked.items(), (":authority", self._target.host)], end_stream=not upload)
        if upload:
            self._state.send_data(number, PIECES[0])
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._state.data_to_send())

    def _read(self) -> None:
        if not (data := self._socket.recv(_PART)):
            raise EOFError("the server ended the connection under a request")
        self._bytes += data
        while len(self._bytes) >= _HEAD:
            size = _HEAD + int.from_bytes(self._bytes[:3], "big")
            if len(self._bytes) < size:
                break
            frame, self._bytes = self._bytes[:size], self._bytes[size:]
            if frame[3] == _GOAWAY:
                self._going, self._last = True, int.from_bytes(frame[_HEAD : _HEAD + 4], "big") & _ALL
                continue
            for event in self._state.receive_data(frame):
                self._see(event)
        self._flush()

    def _see(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._streams[event.stream_id].status = int(dict(event.headers)[b":status"])
            case h2.events.DataReceived():
                self._streams[event.stream_id].body += event.data
                self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._streams[event.stream_id].ended = time.monotonic()
            case h2.events.StreamReset():
                raise EOFError(f"the server reset a stream, error {event.error_code}")
