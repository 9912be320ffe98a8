"""Containers as an engine reports them, and as relman wants one created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.image import ImageId, Platform
from relman.model.settings import Binding, DeploySettings

SERVICE = "relman.service"
ENVIRONMENT = "relman.environment"
DEPLOYMENT = "relman.deployment"
RELEASE = "relman.release"
MANIFEST = "relman.manifest"
CONFIG = "relman.config"
TASK = "relman.task"
TASK_TIMEOUT = "relman.task.timeout"
RUN = "relman.run"
MATRIX = "relman.matrix"
DIRTY = "relman.dirty"
DEPLOY_SECTION = "relman.deploy"
SERVICE_NAME = "relman.service.name"


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself. `clock` is its time in seconds since the epoch; `containerd_store` decides what an
    image id means (model.image.ImageId); with `rootless` its networks are not the host's."""

    version: str
    platform: Platform
    containerd_store: bool
    clock: float
    rootless: bool = False


@dataclass(frozen=True)
class Network:
    """A network of an engine; `address` is one in it, the host's own mostly, "" where none is known."""

    driver: str
    address: str = ""


_ALIVE = ("running", "restarting", "paused")


@dataclass(frozen=True, order=True)
class Copy:
    """A container of the same service that runs for another environment."""

    environment: str
    release: str
    container: str


@dataclass(frozen=True)
class Listed:
    """A container as a list has it; `ports` are those that it takes of the host."""

    id: str
    name: str
    status: str
    labels: Mapping[str, str]
    ports: tuple[Binding, ...]

    def copy_beside(self, service: str, environment: str) -> Copy | None:
        """What it is to this service of this environment, if it is a copy of it."""
        labels = self.labels
        other = labels.get(ENVIRONMENT, environment)
        if labels.get(SERVICE) != service or other == environment or TASK in labels or self.status not in _ALIVE:
            return None
        return Copy(other, labels.get(RELEASE, ""), self.name)


@dataclass(frozen=True)
class Container:
    """One container as inspected. `status` is the engine's word (created, running, restarting, exited, dead, paused);
    `health` is starting, healthy, unhealthy or "" without HEALTHCHECK. `addresses` maps network to IP address.
    `host_ports` are what it takes of the host, `execs` the ids of what runs in it beside its own process. Times are
    RFC 3339."""

    id: str
    name: str
    image_id: ImageId
    status: str
    health: str = ""
    restart_count: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    host_ports: frozenset[Binding] = frozenset()
    restart_policy: str = "no"
    health_log: tuple[str, ...] = ()
    execs: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def paused(self) -> bool:
        """Whether its process stands still, frozen by somebody: it keeps its port, and answers nobody."""
        return self.status == "paused"

    @property
    def alive(self) -> bool:
        """Whether it has its place and its ports: its process runs, is paused, or is about to be started again."""
        return self.status in _ALIVE


@dataclass(frozen=True)
class Image:
    """One image as inspected on an engine. `entrypoint` is empty where it has none; its process starts in
    `directory`."""

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
    """A container to create: `image` is an image id or a reference that the engine holds; `aliases` are its names
    in its networks."""

    name: str
    image: str
    settings: DeploySettings
    labels: Mapping[str, str]
    aliases: tuple[str, ...] = ()
