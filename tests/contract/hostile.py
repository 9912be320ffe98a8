"""A server that speaks HTTP as badly as a test wants, over real connections on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.pki import make_ca

HANDSHAKE = b"\x16"
"""The first byte of TLS (RFC 8446, 5.1)."""
TICK = 0.02
"""Seconds between two pieces of what drips."""


class Peer:
    """One connection as the server sees it; everything ends when the client or the test hangs up."""

    def __init__(self, connection: socket.socket, server: Hostile) -> None:
        self._connection = connection
        self._server = server

    def hear(self) -> str:
        """The head of a request; what follows it is left unread."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            octet = self._connection.recv(1)
            if not octet:
                raise ConnectionResetError
            head += octet
        self._server.heard.append(head.decode().partition("\r\n")[0])
        return head.decode()

    def say(self, *pieces: bytes) -> None:
        """Send."""
        for piece in pieces:
            self._connection.sendall(piece)
            self._server.said += len(piece)

    def drip(self, content: bytes, size: int = 1) -> None:
        """Send a little now and then."""
        for start in range(0, len(content), size):
            self.say(content[start : start + size])
            self.wait(TICK)

    def flood(self, piece: bytes) -> None:
        """Send the same for ever."""
        while True:
            self.say(piece)

    def sip(self) -> None:
        """Read a little now and then, for ever."""
        while self._connection.recv(1):
            self.wait(TICK)

    def wait(self, seconds: float = 60) -> None:
        """Do nothing; ends the connection when the test ends."""
        if self._server.over.wait(seconds):
            raise ConnectionResetError


Manners = Callable[[Peer], None]


class Hostile:
    """`manners` handle each connection, unless it begins with TLS's handshake where the server is `plain`: that is
    answered as web servers do. `heard` are the request lines so far, `said` the bytes sent."""

    def __init__(self, manners: Manners, tls: Path | None = None, *, plain: bool = True) -> None:
        self.heard: list[str] = []
        self.said = 0
        self.over = threading.Event()
        self._manners = manners
        self._plain = plain
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._context: ssl.SSLContext | None = None
        if tls:
            make_ca(tls, "127.0.0.1", "hostile.lab")
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls / "server.crt", tls / "server.key")
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def running(self) -> Iterator[Hostile]:
        """Serve until left."""
        thread = threading.Thread(target=self._accept)
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            thread.join()
            self._listener.close()

    def _accept(self) -> None:
        threads = []
        while not self.over.is_set():
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                # Small, so that nobody's writes vanish into it.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(5)
                threads.append(threading.Thread(target=self._serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError):
            if not self._context and self._plain and plain.recv(1, socket.MSG_PEEK) == HANDSHAKE:
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            with connection:
                self._manners(Peer(connection, self))
