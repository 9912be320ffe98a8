"""Forward a port of a host's loopback to this machine's (tcpip-forward,
https://www.rfc-editor.org/rfc/rfc4254#section-7.1)."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import paramiko

from relman.hosts.ssh.connection import Connection
from relman.hosts.ssh.read_only import only_reading
from relman.model.errors import Failure, RelmanError

_MOST = 32  # concurrent connections; an engine opens about one for each layer that it pulls
_PIECE = (1 << 15) - 64  # bytes that fill one packet of OpenSSH
_CONNECTING = 5.0


class ForwardRefused(Failure):
    """sshd does not listen: the port is in use, or its configuration does not allow it. sshd does not say which."""


@dataclass(frozen=True)
class LoopbackPort:
    """A loopback port, the same on both machines. `name` is how this machine reaches it, `address` what the host binds:
    127.0.0.1 or ::1."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def listens(self) -> bool:
        """Whether something accepts connections there on this machine."""
        with contextlib.suppress(OSError):
            self.connected().close()
            return True
        return False

    def connected(self) -> socket.socket:
        """A connection to it on this machine. Raises OSError."""
        sock = socket.create_connection((self.name, self.port), _CONNECTING)
        sock.settimeout(None)
        return sock


class Forward:
    """Forwards connections from a host's port. `came` counts them; `refused` is why the last one could not be
    forwarded."""

    def __init__(self, place: LoopbackPort) -> None:
        self.place = place
        self._mutex = threading.Lock()
        self._ends: dict[paramiko.Channel, socket.socket | None] = {}
        self._closed = False
        self.came = 0
        self.refused = ""

    def accept(self, channel: paramiko.Channel, origin: tuple[str, int], _: tuple[str, int]) -> None:
        """Accept a connection from `origin`; called by paramiko's transport, and never blocks.

        Only connections from the host's loopback are forwarded, because with GatewayPorts sshd accepts others, too.
        """
        with self._mutex:
            fits = not self._closed and len(self._ends) < _MOST and _is_loopback(origin[0])
            if fits:
                self.came += 1
                self._ends[channel] = None
        if fits:
            threading.Thread(target=self._carry, args=(channel,), name="forward", daemon=True).start()
        else:
            _let_go(channel)

    def _carry(self, channel: paramiko.Channel) -> None:
        try:
            with self.place.connected() as sock:
                with self._mutex:
                    if self._closed:
                        return
                    self._ends[channel] = sock
                asked, answers = only_reading(channel.recv), iter(lambda: sock.recv(_PIECE), b"")
                asking = threading.Thread(target=_copy, args=(asked, sock.sendall, partial(_shut, sock)), daemon=True)
                asking.start()
                _copy(answers, channel.sendall, partial(_let_go, channel))
                asking.join()
        except OSError as error:
            self.refused = f"{self.place} on this machine: {error.strerror or error}"
        finally:
            _let_go(channel)
            with self._mutex:
                self._ends.pop(channel, None)

    def close(self) -> None:
        """Close all connections, and accept no more."""
        with self._mutex:
            self._closed = True
            ends = dict(self._ends)
        for channel, sock in ends.items():
            _let_go(channel)
            if sock:
                _shut(sock)


def _copy(parts: Iterator[bytes], write: Callable[[bytes], object], end: Callable[[], None]) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        for part in parts:
            write(part)
    end()


def _let_go(channel: paramiko.Channel) -> None:
    """Close it; of a connection that is lost nothing is left to close."""
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _is_loopback(origin: str) -> bool:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(origin)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return False


@contextlib.contextmanager
def forwarded(connection: Connection, place: LoopbackPort) -> Iterator[Forward]:
    """Forward `place` of the host to `place` of this machine during the block, for reading only.

    One at a time on a connection. Raises ForwardRefused, or Unreachable.
    """
    forward, standing = Forward(place), connection.standing
    if not connection.listen(place.address, place.port, forward.accept):
        raise ForwardRefused(f"sshd does not listen on {place.address}:{place.port}", host=connection.host.name)
    try:
        yield forward
    finally:
        forward.close()
        with contextlib.suppress(RelmanError):
            connection.require(standing)
            connection.unlisten(place.address, place.port)
