"""Connections to a registry that observe the running Pace, also through a proxy. Only for session.py."""

from __future__ import annotations

import ssl
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from relman.registry.http.pace import PacedSocket

_PLAIN = (b"HTTP/", b"<")
"""The beginnings of the responses of web servers without TLS to a handshake."""


class ProxyFailed(OSError):
    """The proxy did not open the tunnel: `status` is its HTTP status, 0 if it gave no response."""

    def __init__(self, status: int) -> None:
        super().__init__("the proxy did not connect")
        self.status = status


class PlainAnswer(OSError):
    """A server responded to a TLS handshake in plain HTTP."""


class PlainConnection(HTTPConnection):
    """A connection without TLS."""

    def connect(self) -> None:
        """Connect; afterwards the running Pace bounds reads and writes."""
        super().connect()
        self.sock = PacedSocket(self.sock)


class SecureConnection(HTTPSConnection):
    """A connection with TLS, also through a proxy's tunnel."""

    def connect(self) -> None:
        """Connect and shake hands within the connect timeout. Raises PlainAnswer."""
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
        """Ask the proxy for a tunnel (CONNECT, https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6), within the
        running Pace. Raises ProxyFailed."""
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
        """The first bytes of the server's response to a ClientHello."""
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
    """A pool of connections without TLS."""

    ConnectionCls = PlainConnection


class SecurePool(HTTPSConnectionPool):
    """A pool of connections with TLS."""

    ConnectionCls = SecureConnection


POOLS: dict[str, Any] = {"http": Pool, "https": SecurePool}
