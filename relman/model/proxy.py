"""The proxy on a host: what an inventory says of it, and what it routes where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from relman.model.formats.clock import from_rfc3339
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import Health

_SOON = timedelta(days=14)


@dataclass(frozen=True)
class ServiceRoute:
    """What an environment routes to a service (relman_routes): requests to these host names (none: to those of no other
    route) below a path; or, with `listen`, whatever comes to this port of the host. `options` are lines of HAProxy's
    configuration for its backend."""

    hosts: tuple[str, ...] = ()
    path: str = "/"
    strip_prefix: bool = False
    listen: int | None = None
    options: tuple[str, ...] = ()

    @property
    def ways(self) -> tuple[str, ...]:
        """What it claims, for people: a port of the host, or a path of each host name. No two routes have one."""
        if self.listen:
            return (f"port {self.listen}",)
        return tuple(f"{host}{self.path}" for host in self.hosts or ("any other host",))


@dataclass(frozen=True)
class HostProxy:
    """The proxy of a host (relman_proxy).

    `image` is a reference; `certificates` are names of secrets, without any of which there is no HTTPS; `trusted` are
    the networks whose X-Forwarded-* headers are believed; `health` is a path that answers for any host name.
    `keep_alive` is in seconds; `page` is a file on this machine, the HTML that is shown while a service cannot answer;
    `metrics` is a port on the host's loopback at which HAProxy's own metrics are.
    """

    image: str = "docker.io/library/haproxy:3.2-alpine"
    http: int = 80
    https: int = 443
    certificates: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    health: str = ""
    keep_alive: float = 5.0
    page: str = ""
    metrics: int | None = None


@dataclass(frozen=True)
class Certificate:
    """A certificate of the proxy: the name of the secret that it is, a `fingerprint` of it and its chain (SHA-256), the
    host names that it is for, and from when until when it counts (RFC 3339)."""

    name: str
    fingerprint: str
    hosts: tuple[str, ...]
    since: str
    until: str

    @property
    def file(self) -> str:
        """The name of its file: another certificate has another one, so that both can lie beside each other."""
        return f"{self.name}-{self.fingerprint[:16]}.pem"

    def is_due(self, now: datetime) -> bool:
        """Whether it should be renewed: a third of its time is left, and no more than two weeks."""
        since, until = from_rfc3339(self.since), from_rfc3339(self.until)
        return until - now < min((until - since) / 3, _SOON)


@dataclass(frozen=True)
class Server:
    """A container that requests are sent to, and its address in the proxy's network."""

    name: str
    address: str


@dataclass(frozen=True)
class Backend:
    """A service of an environment behind the proxy: what is routed to it, how it is reached, and by which containers.
    `hold` (seconds) is how long requests wait for its only container while that is replaced, 0 where they need not. In
    `maintenance` nothing is sent to it."""

    environment: str
    service: str
    route: ServiceRoute
    settings: ProxySettings
    health: Health
    servers: tuple[Server, ...] = ()
    hold: float = 0.0
    maintenance: bool = False

    @property
    def name(self) -> str:
        """Its name in the proxy."""
        return f"{self.environment}:{self.service}"
