"""How registries are reached from this machine: through which proxies, and which of them without TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from relman.model.errors import UsageError
from relman.model.image import Repository
from relman.registry.http.proxies import NO_PROXIES, Proxies

INSECURE = "RELMAN_INSECURE_REGISTRIES"


@dataclass(frozen=True)
class RegistryAccess:
    """Proxies and registries without TLS.

    `insecure` are the registries (host[:port]) that may be spoken to in plain HTTP; those on loopback always may.
    `warn` is called for each that is.
    """

    proxies: Proxies = NO_PROXIES
    insecure: frozenset[str] = frozenset()
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)

    def may_be_plain(self, place: str, registry: str) -> bool:
        """Whether `place` (host[:port]) may be spoken to in plain HTTP on behalf of `registry`, which may be the same.

        Loopback is allowed only to a registry that is on loopback itself, so that no other can redirect there.
        """
        return place.lower() in self.insecure or (is_loopback(place) and is_loopback(registry))


DIRECT = RegistryAccess()
"""No proxies; plain HTTP only on loopback."""


def is_loopback(place: str) -> bool:
    """Whether host[:port] is this machine's loopback."""
    try:
        host = urlsplit(f"//{place}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def insecure_by(env: Mapping[str, str]) -> list[str]:
    """The registries in RELMAN_INSECURE_REGISTRIES, separated by commas or blanks. Raises UsageError for an invalid
    one."""
    named = env.get(INSECURE, "").replace(",", " ").split()
    for name in named:
        try:
            Repository(name, "name")
        except UsageError as error:
            raise UsageError(f"{INSECURE}: {error.what}", hint=f"{INSECURE}=HOST:PORT,HOST:PORT") from error
    return [name.lower() for name in named]
