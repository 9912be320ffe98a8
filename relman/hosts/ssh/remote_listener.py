"""Ports on which sshd listens for this end (https://www.rfc-editor.org/rfc/rfc4254#section-7.1).

paramiko's own calls wait for the response without a limit, and lose a connection that arrives before they return.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.common import cMSG_GLOBAL_REQUEST

_UNANSWERED = object()


def listen(transport: Any, address: str, port: int, accept: Callable[..., None], timeout: float) -> bool:
    """Ask sshd to listen; returns whether it does.

    `accept` is called in the transport's thread with a channel, its origin and its destination. Raises TimeoutError,
    and what ended the transport.
    """
    transport._tcp_handler = accept
    if _granted(transport, "tcpip-forward", address, port, timeout):
        return True
    transport._tcp_handler = None
    return False


def unlisten(transport: Any, address: str, port: int, timeout: float) -> None:
    """Ask sshd to stop listening. Raises like `listen`."""
    transport._tcp_handler = None
    _granted(transport, "cancel-tcpip-forward", address, port, timeout)


def _granted(t: Any, request: str, address: str, port: int, timeout: float) -> bool:
    message = paramiko.Message()
    message.add_byte(cMSG_GLOBAL_REQUEST)
    message.add_string(request)
    message.add_boolean(True)
    message.add_string(address)
    message.add_int(port)
    t.global_response = _UNANSWERED
    t.completion_event = answered = threading.Event()
    t._send_user_message(message)
    end = time.monotonic() + timeout
    while t.global_response is _UNANSWERED:
        answered.wait(0.1)
        if not t.active:
            raise t.get_exception() or paramiko.SSHException("the connection was closed")
        if time.monotonic() > end:
            raise TimeoutError("the host did not answer in time")
        answered.clear()  # a rekeying sets it, too
    return t.global_response is not None
