"""How a container runs: the deploy section of relman.yml with all variables expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from relman.model.container_settings import ContainerSettings
from relman.model.grants.secrets import SecretRef
from relman.model.strategy import Hook, Strategy, Task


class Order(StrEnum):
    """Which container moves first when one replaces the other."""

    AUTO = "auto"
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class OnFailure(StrEnum):
    """What a failed deployment does with the hosts that are already changed."""

    ROLLBACK = "rollback"
    HALT = "halt"
    CONTINUE = "continue"


class Probe(StrEnum):
    """How health is checked: by relman's HTTP or TCP probe, a command in the container, its HEALTHCHECK, or not at
    all."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    IMAGE = "image"
    NONE = "none"

    @property
    def by_address(self) -> bool:
        """Whether the probe connects to the container's address."""
        return self in (Probe.HTTP, Probe.TCP)


@dataclass(frozen=True, order=True)
class Binding:
    """A port of a host, on one address, or on all if `address` is empty, 0.0.0.0 or ::."""

    protocol: str
    port: int
    address: str = ""

    def collides(self, other: Binding) -> bool:
        """Whether two containers cannot have both bindings."""
        if (self.protocol, self.port) != (other.protocol, other.port):
            return False
        mine, others = self.one_address, other.one_address
        return not mine or not others or mine == others

    @property
    def one_address(self) -> str:
        """The address in canonical form; empty if it means all of them."""
        try:
            address = ip_address(self.address.strip("[]"))
        except ValueError:
            return self.address
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return "" if address.is_unspecified else str(mapped or address)


@dataclass(frozen=True, order=True)
class Port:
    """A container port; published on the host if `host_port` is given. The engine chooses the host's port if that is 0,
    or from those up to `host_last` if that is given."""

    container: int
    protocol: str = "tcp"
    host_port: int | None = None
    host_ip: str = ""
    host_last: int | None = None

    @property
    def binding(self) -> Binding | None:
        """The host port that it binds; None if it binds none or the engine chooses it."""
        return Binding(self.protocol, self.host_port, self.host_ip) if self.host_port and not self.host_last else None


@dataclass(frozen=True, order=True)
class Mount:
    """A named volume or, if `source` is an absolute path, a bind mount."""

    source: str
    target: str
    read_only: bool = False
    selinux: str = ""
    propagation: str = ""
    nocopy: bool = False

    @property
    def is_bind(self) -> bool:
        """Whether the source is a path on the host."""
        return self.source.startswith("/")

    @property
    def propagates(self) -> bool:
        """Whether mounts made later, on one side of it, appear on the other."""
        return self.propagation not in ("", "private", "rprivate")


@dataclass(frozen=True)
class Health:
    """The health check. Times in seconds: the container is healthy without a restart for `window`, which begins within
    `timeout`. `host` is the Host header, "" for the address; `command` runs in the container."""

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
    """The container's HEALTHCHECK in place of the image's: none if `off`; fields that are None are the image's. Times
    in seconds."""

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
    """Everything that decides how a container of the service runs on one host.

    `stop_timeout` is in seconds. `keep` is how many proven releases a host keeps for rollbacks. `max_unavailable` is a
    count ("1") or a share of the hosts ("25%"), the limit of every wave. `max_failures` is how many hosts may fail, and
    are rolled back, before `on_failure` applies. `restart` is as in `docker run --restart`. `aliases` maps networks to
    further names of the container in them. `secrets` are references: their values are no settings.
    """

    ports: tuple[Port, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    health: Health = field(default_factory=Health)
    restart: str = "unless-stopped"
    stop_timeout: int = 30
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
    container: ContainerSettings = field(default_factory=ContainerSettings)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: tuple[SecretRef, ...] = ()

    def has_healthcheck(self, image: bool) -> bool:
        """Whether the container has a HEALTHCHECK, given whether the image has one."""
        own = self.healthcheck
        return (image or bool(own and own.command)) and not (own and own.off)
