"""The proxies that the environment names: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in small letters or large.

NO_PROXY holds, with commas between them: domains, which are those below them too (`example.com`, `.example.com`),
addresses, networks (`10.0.0.0/8`), each with a port or without; or `*`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from relman.model.errors import UsageError
from relman.registry.docker_config import Credentials

_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9a-f:.]+")


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy: `place` is its host:port, `variable` what names it. Its login is never shown."""

    place: str
    variable: str
    login: Credentials | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address, without the login."""
        return f"http://{self.place}"


@dataclass(frozen=True)
class Proxies:
    """Which proxy each address is asked through. `https` and `http` are the variables that name those for addresses
    with and without TLS, each with its value."""

    https: tuple[str, str] = ("", "")
    http: tuple[str, str] = ("", "")
    exempt: tuple[str, ...] = ()

    def of(self, url: str) -> Proxy | None:
        """The proxy for an absolute URL; None where there is none, and for this machine's loopback. Raises UsageError
        where the variable names no HTTP proxy."""
        parts = urlsplit(url)
        variable, value = self.http if parts.scheme == "http" else self.https
        return None if not value or self._is_exempt(parts) else _proxy(variable, value)

    def _is_exempt(self, parts: SplitResult) -> bool:
        try:
            host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return True  # no address at all, which is said elsewhere
        address = _address(host)
        if host == "localhost" or (address and address.is_loopback):
            return True
        return any(_matches(entry, host, address, port) for entry in self.exempt)


NO_PROXIES = Proxies()


def proxies_of(env: Mapping[str, str]) -> Proxies:
    """What the environment's variables say; small letters win."""
    exempt = _first(env, "no_proxy")[1].lower().replace(",", " ").split()
    return Proxies(_first(env, "https_proxy", "all_proxy"), _first(env, "http_proxy", "all_proxy"), tuple(exempt))


def _first(env: Mapping[str, str], *names: str) -> tuple[str, str]:
    """The first of the variables that is set, and its value."""
    spelled = [each for name in names for each in (name, name.upper())]
    found = next((name for name in spelled if name in env), names[0])
    return found, env.get(found, "").strip()


def _proxy(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname or "", parts.port or _PORTS["http"]
    except ValueError:
        host = ""
    if not _HOST.fullmatch(host):
        raise UsageError(f"{variable} names no proxy", hint=f"Set {variable}=http://HOST:PORT, or unset it.")
    if parts.scheme != "http":
        raise UsageError(
            f"{variable} names a proxy of the kind {parts.scheme}",
            hint=f"relman speaks to HTTP proxies: {variable}=http://HOST:PORT.",
        )
    login = Credentials(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return Proxy(f"{f'[{host}]' if ':' in host else host}:{port}", variable, login)


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if network := _network(entry):
        return address is not None and address in network
    front, _, end = entry.rpartition(":")
    name, wanted = (front, int(end)) if front and _PORT.fullmatch(end) else (entry, port)
    name = name.strip("[]").removeprefix("*").strip(".")
    return wanted == port and (host == name or (address is None and bool(name) and host.endswith(f".{name}")))


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
