"""A channel that an answer of the engine turned into a stream of both directions (Engine API, "exec start" and
"attach to a container")."""

from __future__ import annotations

import contextlib
import http.client
import math
from collections.abc import Iterator
from typing import Any, cast

from relman.hosts.ssh.bounded import Bounds, ChannelSocket

_PART = 1 << 16


class Upgraded:
    """What a program in a container reads and prints. A silent one is waited for as long as its engine answers."""

    def __init__(self, channel: ChannelSocket) -> None:
        self._channel = channel
        self._answer = http.client.HTTPResponse(cast("Any", channel))

    @classmethod
    def asked(cls, channel: ChannelSocket, path: str, body: bytes, patience: float) -> Upgraded:
        """Send a POST that asks for it. Raises what http.client and the channel raise."""
        channel.bound(Bounds(patience, stall=math.inf))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        channel.sendall(head.encode() + body)
        upgraded = cls(channel)
        upgraded._answer.begin()
        return upgraded

    @property
    def status(self) -> int:
        """The answer's status."""
        return self._answer.status

    def flow(self) -> None:
        """Wait from now on for as long as its engine answers."""
        self._channel.flow()

    def body(self) -> bytes:
        """The body of an answer that is no stream."""
        return self._answer.read(_PART)

    @property
    def parts(self) -> Iterator[bytes]:
        """What is printed, as it comes."""
        printed = cast("Any", self._answer.fp)
        while part := printed.read1(_PART):
            yield part

    def send(self, data: bytes) -> None:
        """Give it something to read."""
        self._channel.sendall(data)

    def end_input(self) -> None:
        """Let it read the end of its input."""
        self._channel.channel.shutdown_write()

    def close(self) -> None:
        """Close it; the program is not told."""
        with contextlib.suppress(Exception):  # the connection may be gone
            self._answer.close()
        self._channel.close()
