"""Parts of the protocol that paramiko lacks: OpenSSH's stream-local channels, and session requests without a wait.

Specification: OpenSSH PROTOCOL, section 2.4, streamlocal
(https://github.com/openssh/openssh-portable/blob/master/PROTOCOL). Such a channel reaches a Unix socket of the host
without starting a process there.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST

_CONNECT_FAILED = 2  # SSH_OPEN_CONNECT_FAILED (RFC 4254, section 5.1)


def open_streamlocal(transport: paramiko.Transport, path: str, timeout: float) -> paramiko.Channel:
    """Open a channel to the socket at `path`. Raises paramiko.ChannelException if the host refuses.

    A counterpart of Transport.open_channel, which cannot send the path of this channel type.
    """
    t: Any = transport
    window, packet = t.default_window_size, t.default_max_packet_size
    with t.lock:
        number = t._next_channel()
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("direct-streamlocal@openssh.com")
        message.add_int(number)
        message.add_int(window)
        message.add_int(packet)
        message.add_string(path)
        message.add_string("")
        message.add_int(0)
        channel = paramiko.Channel(number)
        t._channels.put(number, channel)
        t.channel_events[number] = event = threading.Event()
        t.channels_seen[number] = True
        _adopt(channel, transport, window, packet)
    t._send_user_message(message)
    return _opened(t, number, channel, event, timeout)


def _adopt(channel: Any, transport: paramiko.Transport, window: int, packet: int) -> None:
    channel._set_transport(transport)
    channel._set_window(window, packet)


def _opened(t: Any, number: int, channel: paramiko.Channel, event: threading.Event, timeout: float) -> paramiko.Channel:
    end = time.monotonic() + timeout
    while not event.wait(0.1):
        if not t.active:
            raise t.get_exception() or paramiko.SSHException("the connection was closed")
        if time.monotonic() > end:
            raise TimeoutError("the host did not open the channel in time")
    if t._channels.get(number) is None:
        # The transport keeps a single reason: of several channels refused at once, only the first gets it.
        raise t.get_exception() or paramiko.ChannelException(_CONNECT_FAILED, "Connect failed")
    return channel


def ask_for(session: Any, kind: str, text: str) -> None:
    """Request a command ("exec") or a "subsystem" from a session (RFC 4254, section 6.5); a refusal closes the session.

    paramiko's own calls wait for the response without a limit.
    """
    request = paramiko.Message()
    request.add_byte(cMSG_CHANNEL_REQUEST)
    request.add_int(session.remote_chanid)
    request.add_string(kind)
    request.add_boolean(True)
    request.add_string(text)
    session.transport._send_user_message(request)
