"""How a container runs: the deploy section of relman.yml with all variables expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from relman.model.container_settings import ContainerSettings
from relman.model.files import DeployFile
from relman.model.grants.secrets import SecretRef
from relman.model.proxy_settings import ProxySettings
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
class PreStop:
    """What is done before a container that serves is stopped: a request to its `port`, or a command in it; then `wait`
    seconds pass."""

    port: int | None = None
    path: str = "/"
    command: tuple[str, ...] = ()
    wait: float = 0.0


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides how one container runs. `stop_timeout` is in seconds, `restart` as in
    `docker run --restart`; `aliases` maps networks to further names of the container in them. `secrets` are references:
    their values are no settings."""

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
    healthcheck: Healthcheck | None = None
    container: ContainerSettings = field(default_factory=ContainerSettings)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: tuple[SecretRef, ...] = ()
    files: tuple[DeployFile, ...] = ()
    proxy: ProxySettings | None = None
    pre_stop: PreStop | None = None

    def has_healthcheck(self, image: bool) -> bool:
        """Whether the container has a HEALTHCHECK; `image`: the image has one."""
        own = self.healthcheck
        return (image or bool(own and own.command)) and not (own and own.off)


@dataclass(frozen=True)
class Process:
    """A process of a release: `replicas` containers of it on each of its hosts, run as `run` says; no more than
    `max_hosts` hosts of the environment may have it (None: any number). `name` is "" in a service that names none."""

    name: str = ""
    replicas: int = 1
    run: RunSettings = field(default_factory=RunSettings)
    max_hosts: int | None = None


@dataclass(frozen=True)
class DeploySettings(RunSettings):
    """What one host runs of a release, and how a rollout goes about it.

    Without `processes` the host runs one container, as these settings say; else those of its processes, of which the
    first answers to the service's name, and tasks run as these settings say.
    `keep` is how many proven-good releases a host keeps for rollbacks. `max_unavailable` is a count ("1") or a share of
    the hosts ("25%", "100%"), and no wave is larger; "" where nobody said it. `max_failures` hosts may fail, each put
    back at once, before `on_failure` counts.
    """

    max_unavailable: str = ""
    on_failure: OnFailure = OnFailure.ROLLBACK
    keep: int = 5
    strategy: Strategy = field(default_factory=Strategy)
    max_failures: int = 0
    tasks: tuple[Task, ...] = ()
    hooks: tuple[Hook, ...] = ()
    processes: tuple[Process, ...] = ()

    @property
    def parts(self) -> tuple[Process, ...]:
        """The processes; the one that needs no name where none is named."""
        return self.processes or (Process(run=self),)

    def run_of(self, process: str) -> RunSettings:
        """How a container of this process is run; of a process that is not its own, as a task is."""
        return next((p.run for p in self.parts if p.name == process), self)

    @property
    def proxied(self) -> Process | None:
        """The process that is reached through the proxy, or None."""
        return next((p for p in self.parts if p.run.proxy), None)

    @property
    def runs(self) -> tuple[RunSettings, ...]:
        """How each process is run."""
        return tuple(p.run for p in self.parts)

    @property
    def every_run(self) -> tuple[RunSettings, ...]:
        """How each process is run, and each task."""
        return (self, *self.runs) if self.processes else (self,)

    @property
    def every_secret(self) -> tuple[SecretRef, ...]:
        """The secrets of all processes, and of tasks."""
        return tuple(dict.fromkeys(secret for run in self.every_run for secret in run.secrets))

    @property
    def every_file(self) -> tuple[DeployFile, ...]:
        """The files of all processes, and of tasks."""
        return tuple(dict.fromkeys(file for run in self.every_run for file in run.files))
