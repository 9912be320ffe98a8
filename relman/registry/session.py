"""The session over which a registry is spoken to, and what its errors come from. Only for transport.py."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy

import requests
import requests.adapters

import relman
from relman.model.errors import UsageError


def open_session(ca: str | None) -> requests.Session:
    """A session that trusts `ca` and asks no variable, cookie or .netrc. Raises UsageError for a file that is none."""
    if ca:
        _check_ca(ca)
    session = requests.Session()
    # Otherwise REQUESTS_CA_BUNDLE beats `verify`, and .netrc and proxies decide what nobody asked them.
    session.trust_env = False
    session.verify = ca or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = requests.structures.CaseInsensitiveDict(
        {"User-Agent": f"relman/{relman.__version__}", "Accept-Encoding": "identity"}
    )
    for prefix in ("https://", "http://"):
        session.mount(prefix, requests.adapters.HTTPAdapter(pool_maxsize=16))
    return session


def _check_ca(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:
        raise UsageError(f"the CA file {file} cannot be used", hint=str(error)) from error


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
