"""How a container is run: the deploy section of relman.yml with every variable filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from relman.model.strategy import Hook, Strategy, Task


class Order(StrEnum):
    """Which of the two containers moves first when one replaces the other."""

    AUTO = "auto"
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class OnFailure(StrEnum):
    """What a failed deployment does with the hosts already changed."""

    ROLLBACK = "rollback"
    HALT = "halt"
    CONTINUE = "continue"


class Probe(StrEnum):
    """How health is known: relman's own HTTP or TCP probe, a command in the container, its HEALTHCHECK, or not at
    all."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    IMAGE = "image"
    NONE = "none"

    @property
    def by_address(self) -> bool:
        """Whether the container's address is asked."""
        return self in (Probe.HTTP, Probe.TCP)


@dataclass(frozen=True, order=True)
class Binding:
    """A port of a host on one of its addresses; on all of them where `address` is empty, 0.0.0.0 or ::."""

    protocol: str
    port: int
    address: str = ""

    def collides(self, other: Binding) -> bool:
        """Whether only one container can have them."""
        if (self.protocol, self.port) != (other.protocol, other.port):
            return False
        mine, others = self.one_address, other.one_address
        return not mine or not others or mine == others

    @property
    def one_address(self) -> str:
        """The address in its usual form; empty where it is all of them."""
        try:
            address = ip_address(self.address.strip("[]"))
        except ValueError:
            return self.address
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return "" if address.is_unspecified else str(mapped or address)


@dataclass(frozen=True, order=True)
class Port:
    """A container port; published on the host when `host_port` is given (0 lets the engine choose)."""

    container: int
    protocol: str = "tcp"
    host_port: int | None = None
    host_ip: str = ""

    @property
    def binding(self) -> Binding | None:
        """What it takes of the host; None where it takes nothing, or what the engine will choose."""
        return Binding(self.protocol, self.host_port, self.host_ip) if self.host_port else None


@dataclass(frozen=True, order=True)
class Mount:
    """A named volume or, when `source` is an absolute path, a bind."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_bind(self) -> bool:
        """Whether the source is a path of the host."""
        return self.source.startswith("/")


@dataclass(frozen=True)
class Health:
    """The health check. Times in seconds: healthy without a restart for `window`, first reached within `timeout`.
    `host` is the Host that is asked for, "" the address; `command` is run in the container."""

    probe: Probe = Probe.NONE
    port: int | None = None
    path: str = "/"
    window: float = 10.0
    timeout: float = 60.0
    interval: float = 1.0
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Healthcheck:
    """What the container has in place of the image's HEALTHCHECK: none where it is `off`; None is the image's own.
    Times in seconds."""

    off: bool = False
    command: tuple[str, ...] | None = None
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    retries: int | None = None


@dataclass(frozen=True)
class Resources:
    """Limits; None is the engine's default. `memory` in bytes, `cpus` in processors, `pids` a count."""

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None


@dataclass(frozen=True)
class DeploySettings:
    """Everything that decides how a container of the service is run on one host.

    `stop_timeout` is in seconds. `keep` is how many proven-good releases a host keeps for rollbacks.
    `max_unavailable` is a count ("1") or a share of the hosts ("25%", "100%"), and no wave is larger. `max_failures`
    hosts may fail, each put back at once, before `on_failure` counts.
    """

    ports: tuple[Port, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    health: Health = field(default_factory=Health)
    restart: str = "unless-stopped"
    stop_timeout: int = 10
    resources: Resources = field(default_factory=Resources)
    order: Order = Order.AUTO
    singleton: bool = False
    max_unavailable: str = "1"
    on_failure: OnFailure = OnFailure.ROLLBACK
    keep: int = 5
    strategy: Strategy = field(default_factory=Strategy)
    max_failures: int = 0
    tasks: tuple[Task, ...] = ()
    hooks: tuple[Hook, ...] = ()
    healthcheck: Healthcheck | None = None

    def has_healthcheck(self, image: bool) -> bool:
        """Whether the container has a HEALTHCHECK; `image`: the image has one."""
        own = self.healthcheck
        return (image or bool(own and own.command)) and not (own and own.off)
