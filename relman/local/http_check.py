"""HTTP checks: one question and one rule, whoever asks, from wherever: GET (RFC 9110), and 200 to 399 is good."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from relman.model.errors import Cancelled, CheckFailed, UsageError

GOOD = range(200, 400)
"""The statuses that are good. No redirect is followed: it is an answer."""

_OWN = {"User-Agent": "relman", "Connection": "close"}
_PAUSE, _LONGEST = 0.5, 10.0  # seconds: between two questions, and for one answer


class Proxy(Protocol):
    """An HTTP proxy (relman.registry.http.proxies)."""

    @property
    def place(self) -> str:
        """Its host:port."""

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization, or empty."""


def headers_of(host: str = "", headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a check: relman's own, replaced or joined by `headers` and `host`. Without `host` the client sends
    the address that it asks."""
    wanted = {**(headers or {}), **({"Host": host} if host else {})}
    names = {name.lower() for name in wanted}
    return {**{name: value for name, value in _OWN.items() if name.lower() not in names}, **wanted}


def status_of(connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]) -> int:
    """The status of one GET; closes the connection. Raises OSError or http.client.HTTPException."""
    try:
        connection.request("GET", target, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def wait_for(
    url: str,
    seconds: float,
    *,
    status: int = 0,
    ca: str = "",
    proxy_of: Callable[[str], Proxy | None] = lambda _: None,
    progress: Callable[[str], object] = lambda _: None,
    cancel: threading.Event | None = None,
) -> None:
    """Ask a URL from this machine until it answers with `status` (0: any that is good), for `seconds`.

    `ca` is a file of CA certificates to trust instead of the system's. `proxy_of` says which proxy a URL is asked
    through. `progress` is told each new answer. Raises CheckFailed with the last answer, UsageError for what is no URL,
    Cancelled once `cancel` is set.
    """
    parts = _parts(url)
    proxy = proxy_of(url)
    waiting = cancel or threading.Event()
    give_up = time.monotonic() + seconds
    last = ""
    while True:
        found = _ask(parts, min(_LONGEST, max(0.1, give_up - time.monotonic())), ca, proxy)
        if isinstance(found, int) and (found == status or (not status and found in GOOD)):
            progress(f"{url} answers {found}")
            return
        if str(found) != last:
            last = str(found)
            progress(f"{url}: {last}")
        if time.monotonic() + _PAUSE > give_up:
            wanted = status or f"a status from {GOOD.start} to {GOOD.stop - 1}"
            raise CheckFailed(f"{url} did not answer {wanted} within {seconds:g} s, but: {last}")
        if waiting.wait(_PAUSE):
            raise Cancelled(f"cancelled while {url} was checked")


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise UsageError(f"{url!r} is not a URL that can be checked")


def _ask(parts: SplitResult, timeout: float, ca: str, proxy: Proxy | None) -> int | str:
    """The status, or what went wrong in words."""
    login = {"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else {}
    place, headers = proxy.place if proxy else parts.netloc, headers_of()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        from relman.local.tls import context_for

        connection = http.client.HTTPSConnection(place, timeout=timeout, context=context_for(ca or None))
        if proxy:
            connection.set_tunnel(parts.netloc, headers=login)
    else:
        connection = http.client.HTTPConnection(place, timeout=timeout)
        if proxy:
            target, headers = f"http://{parts.netloc}{target}", headers | login
    try:
        return status_of(connection, target, headers)
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
