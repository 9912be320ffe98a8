"""Containers: as an engine reports them, and as relman creates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.image import ImageId, Platform
from relman.model.settings import Binding, RunSettings

SERVICE = "relman.service"
ENVIRONMENT = "relman.environment"
DEPLOYMENT = "relman.deployment"
RELEASE = "relman.release"
MANIFEST = "relman.manifest"
CONFIG = "relman.config"
PROCESS = "relman.process"
REPLICA = "relman.replica"
TASK = "relman.task"
TASK_TIMEOUT = "relman.task.timeout"
EXEC = "relman.exec"
REHEARSAL = "relman.rehearsal"
RUN = "relman.run"
MATRIX = "relman.matrix"
DIRTY = "relman.dirty"
DEPLOY_SECTION = "relman.deploy"
SERVICE_NAME = "relman.service.name"


@dataclass(frozen=True)
class EngineFacts:
    """The properties of an engine. `clock` is its time in seconds since the epoch; `containerd_store` decides what an
    image id means (model.image.ImageId); the networks of a `rootless` engine are not reachable from the host; with
    `live_restore` containers go on while it is restarted."""

    version: str
    platform: Platform
    containerd_store: bool
    clock: float
    rootless: bool = False
    live_restore: bool = False


@dataclass(frozen=True)
class Network:
    """A network of an engine; `address` is an address in it, usually the host's own, "" if none is known. Of its
    `subnet` the engine itself gives away only the part `dynamic`, if there is one; both are in CIDR notation."""

    driver: str
    address: str = ""
    subnet: str = ""
    dynamic: str = ""


_ALIVE = ("running", "restarting", "paused")


@dataclass(frozen=True, order=True)
class Copy:
    """A container of the same service that runs for another environment."""

    environment: str
    release: str
    container: str


@dataclass(frozen=True)
class Listed:
    """A container as in the engine's list; `ports` are the host ports that it binds."""

    id: str
    name: str
    status: str
    labels: Mapping[str, str]
    ports: tuple[Binding, ...]

    def copy_beside(self, service: str, environment: str) -> Copy | None:
        """This container as a copy that another environment runs of the service, or None."""
        labels = self.labels
        other = labels.get(ENVIRONMENT, environment)
        if labels.get(SERVICE) != service or other == environment or TASK in labels or self.status not in _ALIVE:
            return None
        return Copy(other, labels.get(RELEASE, ""), self.name)


@dataclass(frozen=True)
class Container:
    """One container as inspected.

    `status` is the engine's (created, running, restarting, exited, dead, paused); `health` is starting, healthy,
    unhealthy, or "" without a HEALTHCHECK. `addresses` maps network to IP address, a fixed one also while it does not
    run; `host_ports` are the host ports that it binds, `execs` the ids of exec processes in it, whose own process
    starts in `directory` as `argv`; one with `auto_remove` (`--rm`) is gone when it stops. Times are RFC 3339.
    """

    id: str
    name: str
    image_id: ImageId
    status: str
    health: str = ""
    restart_count: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    created_at: str = ""
    started_at: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    host_ports: frozenset[Binding] = frozenset()
    restart_policy: str = "no"
    health_log: tuple[str, ...] = ()
    execs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: str = "/"
    argv: tuple[str, ...] = ()
    auto_remove: bool = False

    @property
    def process(self) -> str:
        """The process of the service that it is; "" where the service names none."""
        return self.labels.get(PROCESS, "")

    @property
    def slot(self) -> tuple[str, str]:
        """Its process and its number: what two containers of one deployment differ in."""
        return self.process, self.labels.get(REPLICA, "1")

    @property
    def title(self) -> str:
        """What people call it beside others of its service, as `worker.2`; "" where the service names no processes."""
        return ".".join(self.slot) if self.process else ""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def paused(self) -> bool:
        """Whether it is paused: it keeps its ports and answers nothing."""
        return self.status == "paused"

    @property
    def alive(self) -> bool:
        """Whether it occupies its name and ports: it runs, is paused, or is being restarted."""
        return self.status in _ALIVE

    @property
    def end(self) -> str:
        """How its process ended; "" while it runs, because the engine forgets how the run before ended."""
        return "" if self.running or self.paused else f"exit code {self.exit_code}"


@dataclass(frozen=True)
class Image:
    """One image as inspected on an engine. `entrypoint` is empty if it has none; `directory` is its working
    directory."""

    id: ImageId
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    platform: Platform
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[tuple[int, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    has_healthcheck: bool = False
    entrypoint: tuple[str, ...] = ()
    directory: str = "/"


@dataclass(frozen=True)
class RunSpec:
    """A container to create: `image` is an image id or a reference that the engine has; `aliases` are its names in its
    networks, `addresses` its fixed IPv4 addresses in those that have one for it; whoever starts an `interactive` one is
    its input; a `passing` one is removed by its engine at its end."""

    name: str
    image: str
    settings: RunSettings
    labels: Mapping[str, str]
    aliases: tuple[str, ...] = ()
    interactive: bool = False
    passing: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict)
