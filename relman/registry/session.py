"""The session over which a registry is spoken to, and what its errors come from. Only for transport.py."""

from __future__ import annotations

import ssl
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import requests.utils
from urllib3.util.ssl_ import create_urllib3_context

import relman
from relman.model.errors import UsageError

CONNECTIONS = 16
"""Kept open at most."""


def open_session(ca: str | None) -> requests.Session:
    """A session that trusts `ca` and asks no variable, cookie or .netrc. Raises UsageError for a file that is none."""
    session = requests.Session()
    # Otherwise REQUESTS_CA_BUNDLE beats the context, and .netrc and proxies decide what nobody asked them.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = requests.structures.CaseInsensitiveDict(
        {"User-Agent": f"relman/{relman.__version__}", "Accept-Encoding": "identity"}
    )
    session.mount("https://", _Adapter(_context(ca) if ca else _public_context()))
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))
    return session


class _Adapter(requests.adapters.HTTPAdapter):
    """All connections share one TLS context: reading the CA certificates anew for each costs more than its requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Have the context in every connection."""
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

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


def causes_of(error: BaseException) -> list[BaseException]:
    """The error and what it came from, in this order."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def last_words(causes: list[BaseException]) -> str:
    """What the operating system said, if it said something."""
    reasons = [c.strerror for c in causes if isinstance(c, OSError) and isinstance(c.strerror, str)]
    return f"{reasons[-1]}." if reasons else ""
