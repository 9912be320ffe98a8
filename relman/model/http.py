"""The HTTP request of every health check, wherever it is sent from, and the statuses that pass."""

from __future__ import annotations

from collections.abc import Mapping

GOOD = range(200, 400)
"""The statuses that pass. Redirects are not followed: a redirect is a response."""

_OWN = {"User-Agent": "relman", "Connection": "close"}


def headers_of(host: str = "", headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a check: relman's own, overridden and extended by `headers`. If `host` is "", the client names the
    address that it connects to."""
    wanted = {**(headers or {}), **({"Host": host} if host else {})}
    names = {name.lower() for name in wanted}
    return {**{name: value for name, value in _OWN.items() if name.lower() not in names}, **wanted}
