"""The connections to a registry: within the running Pace, through a proxy where there is one. Only for session.py."""

from __future__ import annotations

import ssl
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from relman.registry.pace import PacedSocket

_PLAIN = (b"HTTP/", b"<")
"""How web servers without TLS answer to the beginning of a handshake."""


class ProxyFailed(OSError):
    """The proxy did not connect: `status` is what it answered, 0 where that was no answer."""

    def __init__(self, status: int) -> None:
        super().__init__("the proxy did not connect")
        self.status = status


class PlainAnswer(OSError):
    """A server answered to a TLS handshake in plain HTTP."""


class Connection(HTTPConnection):
    """Without TLS."""

    def connect(self) -> None:
        """Connect; from then on within the running Pace."""
        super().connect()
        self.sock = PacedSocket(self.sock)


class SecureConnection(HTTPSConnection):
    """With TLS, through a proxy's tunnel too."""

    def connect(self) -> None:
        """As Connection: the handshake has the time of connecting, as a whole. Raises PlainAnswer."""
        try:
            super().connect()
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            if self._first_words().startswith(_PLAIN):
                raise PlainAnswer from error
            raise
        self.sock = PacedSocket(self.sock)

    def _tunnel(self) -> None:
        """Ask the proxy for the tunnel (RFC 9110, 9.3.6), within the running Pace. Raises ProxyFailed."""
        inner, self.sock = self.sock, PacedSocket(self.sock)
        host = self._tunnel_host or ""
        place = f"{f'[{host}]' if ':' in host else host}:{self._tunnel_port}"
        headers: dict[str, str] = {"Host": place, **self._tunnel_headers}  # type: ignore[attr-defined]
        lines = [f"CONNECT {place} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        try:
            self.send("\r\n".join(lines).encode())
            answer = HTTPResponse(self.sock, method="CONNECT")  # type: ignore[arg-type]
            with answer:
                answer.begin()
        except (OSError, HTTPException) as error:
            raise ProxyFailed(0) from error
        if not 200 <= answer.status < 300:
            raise ProxyFailed(answer.status)
        inner.settimeout(self.timeout)
        self.sock = inner

    def _first_words(self) -> bytes:
        """What the server answers to the beginning of a handshake."""
        outgoing = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=self.host).do_handshake()
        try:
            self.sock = self._new_conn()
            if self._tunnel_host:
                self._tunnel()
            self.sock.sendall(outgoing.read())
            return bytes(self.sock.recv(len(_PLAIN[0])))
        except (OSError, HTTPException):
            return b""
        finally:
            self.close()


class Pool(HTTPConnectionPool):
    """Connections without TLS."""

    ConnectionCls = Connection


class SecurePool(HTTPSConnectionPool):
    """Connections with TLS."""

    ConnectionCls = SecureConnection


POOLS: dict[str, Any] = {"http": Pool, "https": SecurePool}
