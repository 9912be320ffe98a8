"""The schema of what a container of a service runs, of its health, and of several processes of one image."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from relman.config.schema import values, values_container
from relman.config.schema.base import MOST, Argv, EnvName, Section, choice, filled, parsed
from relman.config.schema.container import ContainerKeys
from relman.config.schema.given import Files, SecretName, SecretUse, clash, file_references, misplaced, references
from relman.config.schema.health import OFF, Health, HealthcheckOrOff
from relman.config.schema.lists import several, without_clash
from relman.config.schema.networks import ALONE, Networks
from relman.config.schema.proxy.deploy import Proxy, unspeakable
from relman.config.schema.proxy.pre_stop import PreStop
from relman.config.yaml_document import KeyPath
from relman.model import settings as model
from relman.model.container_settings import Device, Tmpfs
from relman.model.settings import DeploySettings, Mount, Order, Port, RunSettings

_Times = Annotated[str, Field(pattern="^on-failure:[1-9][0-9]*$")]
Restart = Literal["no", "always", "unless-stopped", "on-failure"] | _Times
Ports = tuple[Port, ...]


def _ports_clash(one: Ports | str, other: Ports | str) -> str | None:
    pairs = [] if isinstance(one, str) or isinstance(other, str) else list(product(one, other))
    return next(filter(None, (_port_clash(*pair) for pair in pairs)), None)


def _port_clash(one: Port, other: Port) -> str | None:
    if one == other:
        return "the same port twice"
    if one.binding and other.binding and one.binding.collides(other.binding):
        return f"the host's port {one.host_port}/{one.protocol} is taken by another entry"
    return None


def mounts_clash(one: Mount | str, other: Mount | str) -> str | None:
    """Why two mounts cannot be in one container, or None."""
    if isinstance(one, str) or isinstance(other, str):
        return None
    return f"another volume is mounted at {one.target}" if one.target == other.target else None


class Resources(Section):
    """Limits of the container."""

    memory: Annotated[int, parsed(values_container.memory)] | None = None
    cpus: Annotated[float, parsed(values_container.cpus)] | None = None
    pids: Annotated[int, Field(ge=1, le=MOST)] | None = None

    def value(self) -> model.Resources:
        """The model's limits."""
        return model.Resources(self.memory, self.cpus, self.pids)


class Run(Section):
    """What one container runs, and how its health is checked."""

    ports: Annotated[list[Annotated[Ports, filled(values_container.ports)]], without_clash(_ports_clash)] = []
    env: dict[EnvName, Annotated[str, filled(values.text)]] = {}
    env_file: Annotated[list[str], several(values.word)] = []
    volumes: Annotated[list[Annotated[Mount, filled(values_container.mount)]], without_clash(mounts_clash)] = []
    networks: Networks = {}
    command: Argv | None = None
    health: Health | None = None
    healthcheck: HealthcheckOrOff = None
    restart: Annotated[str, parsed(values_container.restart, Restart)] = DeploySettings.restart
    stop_timeout: Annotated[int, parsed(values.whole_seconds)] = DeploySettings.stop_timeout
    resources: Resources = Resources()
    secrets: dict[SecretName, SecretUse] = {}
    files: Files = {}

    def all_ports(self) -> tuple[Port, ...]:
        """The ports, but for entries whose variables are not expanded."""
        return tuple(port for entry in self.ports if not isinstance(entry, str) for port in entry)

    def run_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What cannot be combined, each with the path of the key to change."""
        if (alone := _alone(self)) and self.ports:
            yield ("ports",), f"the network {alone} publishes no ports: leave them out"
        if self.healthcheck is OFF and self.health and self.health.image:
            yield ("healthcheck",), "false leaves deploy.health.image nothing to ask"
        if found := clash(references(self.secrets), _mounted(self) | dict.fromkeys(self.env, "given in env")):
            yield ("secrets", found[0]), found[1]


class Runnable(ContainerKeys, Run):
    """How a container is run, and how it is replaced."""

    order: Annotated[str, choice(*Order)] = DeploySettings.order
    singleton: bool = DeploySettings.singleton
    proxy: Proxy | None = None
    pre_stop: PreStop | None = None

    def faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What cannot be combined, each with the path of the key to change."""
        yield from self.run_faults()
        yield from self.container_faults(self.volumes)
        yield from self.file_faults()
        yield from self.proxy_faults()
        if self.order == Order.START_FIRST and self.singleton:
            yield ("order",), "start-first runs two copies for a while, which singleton forbids"
        bound = bound_ports(self)
        if self.order == Order.START_FIRST and bound:
            yield (
                ("order",),
                f"start-first cannot work: two containers cannot hold the host's port {bound[0].host_port}",
            )

    def file_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """Files that would lie over something else in the container."""
        tmpfs = {t.target: "a tmpfs" for t in self.tmpfs if isinstance(t, Tmpfs)}
        devices = {d.target: "a device" for d in self.devices if isinstance(d, Device)}
        secrets = {ref.file: f"the secret {ref.name}" for ref in references(self.secrets) if ref.file}
        yield from misplaced(self.files, {**_mounted(self), **tmpfs, **devices, **secrets})

    def proxy_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What the proxy could not do for a process that is run so."""
        if self.proxy is None:
            return
        yield from ((("proxy", *path), text) for path, text in self.proxy.faults())
        if alone := _alone(self):
            yield ("networks",), f"the proxy reaches no container in the network {alone}: leave it or deploy.proxy out"
        yield from ((("health", "http", *path), text) for path, text in unspeakable(self.health))

    def run(self) -> RunSettings:
        """The model's settings; requires all variables to be expanded."""
        return RunSettings(
            ports=self.all_ports(),
            env=dict(self.env),
            volumes=tuple(self.volumes),
            networks=tuple(self.networks),
            command=self.command,
            health=self.health.value() if self.health else model.Health(),
            restart=self.restart,
            stop_timeout=self.stop_timeout,
            resources=self.resources.value(),
            order=Order(self.order),
            singleton=self.singleton,
            healthcheck=self.healthcheck.value() if self.healthcheck else None,
            container=self.container(),
            aliases={network: names for network, names in self.networks.items() if names},
            secrets=references(self.secrets),
            files=file_references(self.files),
            proxy=self.proxy.value() if self.proxy else None,
            pre_stop=self.pre_stop.value() if self.pre_stop else None,
        )


class Process(Runnable):
    """One process of the image. A key that is not given is the deploy section's; variables are added to its own."""

    elsewhere: ClassVar[tuple[str, ...]] = tuple(Runnable.model_fields)

    model_config = ConfigDict(use_attribute_docstrings=True)

    replicas: Annotated[int, filled(values.replicas)] = 1
    """The number of containers on each host; the inventory's relman_processes can say another one."""
    max_hosts: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """The number of hosts of an environment that may run it, such as 1 for a scheduler."""

    def within(self, common: Runnable) -> Process:
        """The process with what the deploy section says for all."""
        given: dict[str, Any] = {
            name: getattr(self if name in self.model_fields_set else common, name) for name in Runnable.model_fields
        }
        given["env"] = {**common.env, **self.env}
        return Process.model_construct(**given, replicas=self.replicas, max_hosts=self.max_hosts)

    def own_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What is wrong with the process when it has all its keys."""
        yield from self.faults()
        if not isinstance(self.replicas, int) or self.replicas == 1:
            return
        if self.singleton:
            yield ("replicas",), "singleton allows one container: leave one of them out"
        if bound := bound_ports(self):
            port = bound[0].host_port
            yield ("replicas",), f"{self.replicas} containers cannot hold the host's port {port}: leave that out"

    def value(self, name: str) -> model.Process:
        """The model's process."""
        return model.Process(name, self.replicas, self.run(), self.max_hosts)


def _alone(run: Run) -> str | None:
    """The network that a container cannot have beside others, if it is in one."""
    return next((name for name in run.networks if name in ALONE), None)


def _mounted(run: Run) -> dict[str, str]:
    """What the paths are that volumes take."""
    return {m.target: "the target of a volume" for m in run.volumes if isinstance(m, Mount)}


def bound_ports(run: Run) -> list[Port]:
    """The ports that take one of the host."""
    return [port for port in run.all_ports() if port.binding]
