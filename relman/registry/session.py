"""The session over which a registry is spoken to. Only for transport.py."""

from __future__ import annotations

import ssl
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import requests.utils
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

import relman
from relman.model.errors import UsageError
from relman.registry.pace import PacedSocket

CONNECTIONS = 16
"""Kept open at most."""


def open_session(ca: str | None) -> requests.Session:
    """A session that trusts `ca`, follows no redirection, and asks no variable, cookie or .netrc.

    Raises UsageError for a file that is none.
    """
    session = _Session()
    # Otherwise REQUESTS_CA_BUNDLE beats the context, and .netrc and proxies decide what nobody asked them.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = requests.structures.CaseInsensitiveDict(
        {"User-Agent": f"relman/{relman.__version__}", "Accept-Encoding": "identity"}
    )
    session.mount("https://", _Adapter(_context(ca) if ca else _public_context()))
    session.mount("http://", _Adapter(None))
    return session


class _Session(requests.Session):
    def get_redirect_target(self, _: requests.Response) -> None:
        """None: requests would read what comes with a redirection to its end, however much that is."""


class _Connection(HTTPConnection):
    def connect(self) -> None:
        """Connect; from then on within the running Pace."""
        super().connect()
        self.sock = PacedSocket(self.sock)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        """As _Connection: the handshake has the time of connecting, as a whole."""
        super().connect()
        self.sock = PacedSocket(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """All connections share one TLS context: reading the CA certificates anew for each costs more than its requests."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Have the context in every connection, and connections of our own."""
        if self._context:
            options["ssl_context"] = self._context
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Who is trusted is in the context; otherwise the public CAs would be added to it, for each connection."""


def _context(ca: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:
        raise UsageError(f"the CA file {ca} cannot be used", hint=str(error)) from error
    return context


@cache
def _public_context() -> ssl.SSLContext:
    return _context(requests.utils.DEFAULT_CA_BUNDLE_PATH)
