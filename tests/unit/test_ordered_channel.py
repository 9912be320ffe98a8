"""Nothing follows the close of a channel, whenever the other end closes it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

from relman.hosts.ssh.ordered_channel import OrderedChannel
from relman.hosts.ssh.transport import ClientTransport
from tests.lab.process import until


class Held(ClientTransport):
    """A transport that notes what is sent; the first message waits until it is let go, as during a rekeying."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.sent: list[int] = []
        self.arrived, self.free = threading.Event(), threading.Event()

    def _send_user_message(self, message: paramiko.Message) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            assert self.free.wait(30)
        self.sent.append(message.asbytes()[0])


@pytest.fixture
def channel() -> Iterator[Any]:
    """A channel of such a transport, open for a kilobyte."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport, made = Held(ours), paramiko.Channel(1)
        transport._channels.put(1, made)
        assert type(made) is OrderedChannel
        made._set_transport(transport)  # type: ignore[attr-defined]
        made._set_remote_channel(7, 1024, 1024)  # type: ignore[attr-defined]
        yield made


@pytest.mark.parametrize(
    "ways", [("_handle_close",), ("close",), ("close", "_handle_close"), ("_handle_close", "close")]
)
@pytest.mark.parametrize(("sending", "message"), [("sendall", MSG_CHANNEL_DATA), ("shutdown", MSG_CHANNEL_EOF)])
def test_what_is_under_way_comes_before_the_close(
    channel: Any, sending: str, message: int, ways: tuple[str, ...]
) -> None:
    """Whoever closes meanwhile, and however often, goes on at once; the close is sent once, and last."""
    thread = threading.Thread(target=getattr(channel, sending), args=(b"data" if sending == "sendall" else 1,))
    thread.start()
    assert channel.transport.arrived.wait(30)
    for way in ways:
        getattr(channel, way)(*[None] * (way == "_handle_close"))
    assert channel.transport.sent == []
    channel.transport.free.set()
    thread.join(30)
    ends = [MSG_CHANNEL_CLOSE] if message == MSG_CHANNEL_EOF else [MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE]
    assert channel.transport.sent == [message, *ends]
    with pytest.raises(OSError, match="closed"):
        channel.send(b"more")


def test_a_channel_that_sends_nothing_is_closed_at_once(channel: Any) -> None:
    """And one whose data is sent."""
    channel.transport.free.set()
    channel.sendall(b"data")
    channel.close()
    until(lambda: len(channel.transport.sent) == 3, "all to be sent")
    assert channel.transport.sent == [MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE]
