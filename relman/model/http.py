"""How relman asks over HTTP whether something is well: the same for every check, wherever it is asked from."""

from __future__ import annotations

from collections.abc import Mapping

GOOD = range(200, 400)
"""The statuses that are good. No redirect is followed: it is an answer."""

_OWN = {"User-Agent": "relman", "Connection": "close"}


def headers_of(host: str = "", headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a request: relman's own, and in their place or beside them those that are wanted. Without `host`
    the client names the address that it asks."""
    wanted = {**(headers or {}), **({"Host": host} if host else {})}
    names = {name.lower() for name in wanted}
    return {**{name: value for name, value in _OWN.items() if name.lower() not in names}, **wanted}
