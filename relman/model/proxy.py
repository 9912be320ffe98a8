"""The proxy on a host: what an inventory says of it, what it routes where, and what it counts of the requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from relman.model.formats.clock import from_rfc3339
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import Health

_SOON = timedelta(days=14)
_LONGEST = 200  # of a host name in the name of a file, which has 255 bytes at most


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
class Acme:
    """How the proxy's certificates are got by themselves (relman_proxy.acme): from the authority with this `directory`
    (RFC 8555, a URL), for these `names`, or without any for the host names of the routes.

    `account` is the name of the secret that is the account's private key; `email` is for the authority, "" for none;
    `ca` is a file of CA certificates that vouch for the authority, "" for the system's.
    """

    directory: str
    account: str
    email: str = ""
    ca: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostProxy:
    """The proxy of a host (relman_proxy).

    `image` is a reference; `certificates` are names of secrets, without any of which there is no HTTPS; `trusted` are
    the networks whose X-Forwarded-* headers are believed; `health` is a path that answers for any host name.
    `keep_alive` is in seconds; `page` is a file on this machine, the HTML that is shown while a service cannot answer;
    `metrics` is a port on the host's loopback at which HAProxy's own metrics are; `acme` is where further certificates
    come from.
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
    acme: Acme | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of its secrets."""
        return (*self.certificates, *([self.acme.account] if self.acme else []))


@dataclass(frozen=True)
class Challenge:
    """What an ACME authority asks every host for, to see whose the host name is (HTTP-01, RFC 8555, section 8.3)."""

    host: str
    token: str
    answer: str


@dataclass(frozen=True)
class Certificate:
    """A certificate of the proxy: the name of the secret that it is, a `fingerprint` of it and its chain (SHA-256), the
    host names that it is for, and from when until when it counts (RFC 3339). One that was got by ACME is named for its
    host name, and belongs to the `environment` that got it."""

    name: str
    fingerprint: str
    hosts: tuple[str, ...]
    since: str
    until: str
    environment: str = ""

    @property
    def file(self) -> str:
        """The name of its file: another certificate has another one, so that both can lie beside each other."""
        return f"{self.name[:_LONGEST]}-{self.fingerprint[:16]}.pem"

    def covers(self, host: str) -> bool:
        """Whether it is for this host name (RFC 6125: a * is one label)."""
        return not {host, f"*.{host.partition('.')[2]}"}.isdisjoint(self.hosts)

    def is_to_renew(self, now: datetime) -> bool:
        """Whether a new one should be got by ACME: a third of its time is left."""
        since, until = from_rfc3339(self.since), from_rfc3339(self.until)
        return until - now < (until - since) / 3

    def is_due(self, now: datetime) -> bool:
        """Whether it should be renewed: a third of its time is left, and no more than two weeks."""
        return self.is_to_renew(now) and from_rfc3339(self.until) - now < _SOON

    def warning(self, now: datetime) -> str:
        """What to say of one that is due."""
        expires = "has expired" if from_rfc3339(self.until) <= now else "expires"
        renew = "relman proxy apply renews it" if self.environment else "renew it, then relman proxy apply"
        return f"the certificate {self.name} {expires} at {self.until}: {renew}"


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


BOUNDS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000)
"""The bounds, in milliseconds, between which answers are counted by the time until they began."""
_PERCENTILE = 0.99


@dataclass(frozen=True)
class Traffic:
    """The `requests` that ended, and how many of them `failed`: the answer was 5xx, the service's own or the proxy's in
    its place, or the service broke it off. Of a service that speaks TCP they are connections, which failed where no
    container took them.

    `times` counts the answers by the bound (BOUNDS) below which they began; the last number those above all of them.
    """

    requests: int = 0
    failed: int = 0
    times: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def __add__(self, other: Traffic) -> Traffic:
        times = tuple(a + b for a, b in zip(self.times, other.times, strict=True))
        return Traffic(self.requests + other.requests, self.failed + other.failed, times)

    def __sub__(self, other: Traffic) -> Traffic:
        times = tuple(a - b for a, b in zip(self.times, other.times, strict=True))
        return Traffic(self.requests - other.requests, self.failed - other.failed, times)

    @property
    def p99(self) -> float | None:
        """The bound, in seconds, below which 99 of 100 answers began; infinite if it is above the last one, None if
        there are no answers."""
        if not (whole := sum(self.times)):
            return None
        seen = 0
        for bound, count in zip((*BOUNDS, math.inf), self.times, strict=True):
            seen += count
            if seen >= whole * _PERCENTILE:
                return bound / 1000
        raise AssertionError

    @property
    def errors(self) -> float:
        """The share of requests that failed."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def text(self) -> str:
        """In words: `12,408 requests, 0 failed, p99 under 50 ms`."""
        if not self.requests:
            return "no requests"
        return (
            f"{self.requests:,} {'request' if self.requests == 1 else 'requests'}, {self.failed:,} failed{self._slow}"
        )

    @property
    def _slow(self) -> str:
        p99 = self.p99
        if p99 is None:
            return ""
        return f", p99 over {in_words(BOUNDS[-1])}" if math.isinf(p99) else f", p99 under {in_words(p99 * 1000)}"


def in_words(milliseconds: float) -> str:
    """A bound: `50 ms`, `1.5 s`."""
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"


@dataclass(frozen=True)
class Users:
    """What users saw of a service on several hosts; `uncounted` are those of which it is not known."""

    traffic: Traffic
    uncounted: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In words: `12,408 requests, 0 failed, p99 under 50 ms (not counted: h3)`."""
        return self.traffic.text + (f" (not counted: {', '.join(self.uncounted)})" if self.uncounted else "")
