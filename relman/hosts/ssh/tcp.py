"""The TCP socket under an SSH connection: no delay, nothing sent after the process, no waiting for who is gone."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

_GONE_AFTER = 45_000  # milliseconds without an acknowledgement; something is sent every KEEPALIVE seconds


def open_socket(address: str, port: int, timeout: float) -> socket.socket:
    """Connect within `timeout` seconds. Raises OSError."""
    sock = socket.create_connection((address, port), timeout=timeout)
    # Without it every new channel waits for a delayed acknowledgement: 20 to 40 ms each.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER)
    linger(sock, in_peace=False)
    return sock


def linger(sock: socket.socket, *, in_peace: bool) -> None:
    """Whether the kernel goes on sending for a process that ended or was killed (socket(7), SO_LINGER): then a change
    can reach a host whose cable is back when others are at work there."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0 if in_peace else 1, 0))


def unacknowledged(sock: socket.socket) -> int:
    """The number of bytes on their way (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def stuck(sock: socket.socket) -> bool:
    """Whether the kernel sends something again and again that nobody acknowledges (tcp(7), TCP_INFO; the third byte of
    struct tcp_info counts that)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[2] > 0
