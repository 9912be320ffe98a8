"""How a process is reached through a host's proxy: the section deploy.proxy. Names and paths are not in it: those are
the environment's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """What a process speaks to the proxy: HTTP/1.1, HTTP/2 without TLS (gRPC), or anything on TCP."""

    HTTP = "http"
    H2C = "h2c"
    TCP = "tcp"


class Https(StrEnum):
    """What becomes of a request that did not come by TLS, where there is TLS: it is redirected, not answered, or
    answered as any other."""

    REDIRECT = "redirect"
    ONLY = "only"
    OFF = "off"


@dataclass(frozen=True)
class ProxySettings:
    """How a process is reached through the proxy (deploy.proxy). Times are in seconds.

    `response_timeout` is how long an answer may take to begin, `drain_timeout` how long requests of a replaced
    container may take to end, `hold` how long requests wait where one container stops before the next one starts.
    """

    port: int
    protocol: Protocol = Protocol.HTTP
    https: Https = Https.REDIRECT
    response_timeout: float = 30.0
    drain_timeout: float | None = None
    hold: float | None = None

    def drain(self, keep_alive: float) -> float:
        """The drain timeout: at least as long as the last answer on a connection that is kept alive may take."""
        return max(self.drain_timeout or 0.0, self.response_timeout + keep_alive)
