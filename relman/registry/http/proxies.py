"""The proxies in the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in lower or upper case.

NO_PROXY is a list separated by commas: domains, which include their subdomains (`example.com`, `.example.com`),
addresses and networks (`10.0.0.0/8`), each with or without a port; or `*`. No standard defines these variables; the
syntax is close to that of Go's golang.org/x/net/http/httpproxy, which the docker CLI uses.
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
    """An HTTP proxy: `place` is its host:port, `variable` the variable that names it. Its repr hides the login."""

    place: str
    variable: str
    login: Credentials | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its URL, without the login."""
        return f"http://{self.place}"

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization; "" where it wants no login."""
        return self.login.basic if self.login else ""


@dataclass(frozen=True)
class Proxies:
    """The proxy for each address. `https` and `http` are (variable, value) for addresses with and without TLS."""

    https: tuple[str, str] = ("", "")
    http: tuple[str, str] = ("", "")
    exempt: tuple[str, ...] = ()

    def of(self, url: str) -> Proxy | None:
        """The proxy for an absolute URL; None if there is none, and for loopback. Raises UsageError if the variable
        does not name an HTTP proxy."""
        parts = urlsplit(url)
        variable, value = self.http if parts.scheme == "http" else self.https
        return None if not value or self._is_exempt(parts) else _proxy(variable, value)

    def _is_exempt(self, parts: SplitResult) -> bool:
        try:
            host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return True  # not an address; the request itself reports that
        address = _address(host)
        if host == "localhost" or (address and address.is_loopback):
            return True
        return any(_matches(entry, host, address, port) for entry in self.exempt)


NO_PROXIES = Proxies()


def proxies_of(env: Mapping[str, str]) -> Proxies:
    """Read the environment's variables; lower case takes precedence."""
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
