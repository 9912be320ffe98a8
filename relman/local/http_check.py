"""HTTP health checks: GET (RFC 9110, section 9.3.1), passed by a status from 200 to 399.

All checks share these rules, wherever they are sent from. https://www.rfc-editor.org/rfc/rfc9110#section-9.3.1
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from relman.model.errors import Cancelled, CheckFailed, UsageError

GOOD = range(200, 400)
"""The statuses that pass. Redirects pass, and are not followed."""

_OWN = {"User-Agent": "relman", "Connection": "close"}
_PAUSE, _LONGEST = 0.5, 10.0  # seconds: between two requests, and for one response


class Proxy(Protocol):
    """An HTTP proxy (relman.registry.http.proxies)."""

    @property
    def place(self) -> str:
        """Its host:port."""

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization, or ""."""


def headers_of(host: str = "", headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a check: relman's own, overridden or extended by `headers` and `host`. Without `host` the client
    sends the address that it connects to."""
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
    """Request a URL from this machine until it responds with `status` (0: any in GOOD), for at most `seconds`.

    `ca` is a file of CA certificates to trust instead of the system's. `proxy_of` returns the proxy for a URL.
    `progress` is called with each new response. Raises CheckFailed with the last response, UsageError for an invalid
    URL, Cancelled when `cancel` is set.
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
            late = f"it did not answer {wanted} within {seconds:g} s"
            raise CheckFailed(f"the check failed: GET {url}: {last}", details=[late])
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
    """The status, or a text for the error."""
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
