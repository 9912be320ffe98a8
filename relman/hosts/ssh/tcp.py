"""Options of the TCP socket of an SSH connection: no delay, nothing sent after the process ends, dead peers
detected."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

_GONE_AFTER = 45_000  # milliseconds without an acknowledgement, that is three KEEPALIVE intervals


def open_socket(address: str, port: int, timeout: float) -> socket.socket:
    """Connect within `timeout` seconds. Raises OSError."""
    sock = socket.create_connection((address, port), timeout=timeout)
    # Without it, every new channel waits for a delayed acknowledgement: 20 to 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER)
    linger(sock, in_peace=False)
    return sock


def linger(sock: socket.socket, *, in_peace: bool) -> None:
    """Set whether the kernel keeps sending after the process ends (socket(7), SO_LINGER).

    If it does, a change may reach a host after its network is back, when another deployment is running there.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0 if in_peace else 1, 0))


def unacknowledged(sock: socket.socket) -> int:
    """The number of sent bytes that are not acknowledged (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def stuck(sock: socket.socket) -> bool:
    """Whether the kernel is retransmitting (tcp(7), TCP_INFO; tcpi_retransmits is the third byte of struct
    tcp_info)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[2] > 0
