"""How registries are reached from this machine: through which proxy, and which without TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from relman.model.errors import UsageError
from relman.model.image import Repository
from relman.registry.proxies import NO_PROXIES, Proxies

INSECURE = "RELMAN_INSECURE_REGISTRIES"


@dataclass(frozen=True)
class Network:
    """`insecure` are the registries, as host[:port], that may be spoken to in plain HTTP; those on loopback always may.
    `warn` is told of each that is."""

    proxies: Proxies = NO_PROXIES
    insecure: frozenset[str] = frozenset()
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)

    def may_be_plain(self, place: str, registry: str) -> bool:
        """Whether `place` (host[:port]) may be spoken to in plain HTTP on behalf of `registry`, which may itself be.

        This machine's loopback counts only for a registry that is there, too.
        """
        return place.lower() in self.insecure or (is_loopback(place) and is_loopback(registry))


DIRECT = Network()
"""Without proxies, and without TLS on loopback only."""


def is_loopback(place: str) -> bool:
    """Whether host[:port] is this machine's own loopback."""
    try:
        host = urlsplit(f"//{place}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def insecure_by(env: Mapping[str, str]) -> list[str]:
    """The registries that RELMAN_INSECURE_REGISTRIES names, with commas or blanks between them. Raises UsageError for
    what is none."""
    named = env.get(INSECURE, "").replace(",", " ").split()
    for name in named:
        try:
            Repository(name, "name")
        except UsageError as error:
            raise UsageError(f"{INSECURE}: {error.what}", hint=f"{INSECURE}=HOST:PORT,HOST:PORT") from error
    return [name.lower() for name in named]
