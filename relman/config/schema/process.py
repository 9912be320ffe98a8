"""The schema of deploy.processes: several containers of one image, each run in its own way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from relman.config.schema import values
from relman.config.schema.base import MOST, choice, filled
from relman.config.schema.container import ContainerKeys
from relman.config.schema.run import Run
from relman.config.schema.secrets import references
from relman.config.yaml_document import KeyPath
from relman.model import settings as model
from relman.model.settings import DeploySettings, Order, Port, RunSettings


class Runnable(ContainerKeys, Run):
    """How a container is run, and how it is replaced."""

    order: Annotated[str, choice(*Order)] = DeploySettings.order
    singleton: bool = DeploySettings.singleton

    def faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What cannot be combined, each with the path of the key to change."""
        yield from self.run_faults()
        yield from self.container_faults(self.volumes)
        if self.order == Order.START_FIRST and self.singleton:
            yield ("order",), "start-first runs two copies for a while, which singleton forbids"
        bound = _bound(self)
        if self.order == Order.START_FIRST and bound:
            yield (
                ("order",),
                f"start-first cannot work: two containers cannot hold the host's port {bound[0].host_port}",
            )

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
        if bound := _bound(self):
            port = bound[0].host_port
            yield ("replicas",), f"{self.replicas} containers cannot hold the host's port {port}: leave that out"

    def value(self, name: str) -> model.Process:
        """The model's process."""
        return model.Process(name, self.replicas, self.run(), self.max_hosts)


def _bound(run: Run) -> list[Port]:
    return [port for port in run.all_ports() if port.binding]


def chosen(
    processes: tuple[model.Process, ...], wanted: Mapping[str, int | None] | None
) -> Iterator[model.Process | tuple[KeyPath, str]]:
    """The processes that a host is to run, each with its own number of replicas, and what is wrong with the choice."""
    known = [p.name for p in processes]
    for name in wanted or ():
        if name not in known:
            yield ("processes",), f"relman_processes names {name}, and the release has {', '.join(known) or 'none'}"
    for process in processes:
        if wanted is None:
            yield process
        elif process.name in wanted:
            count = wanted[process.name] or process.replicas
            yield model.Process(process.name, count, process.run, process.max_hosts)


def collisions(processes: Collection[model.Process]) -> Iterator[tuple[KeyPath, str]]:
    """Ports of the host that two containers of one host would take."""
    for process in processes:
        if process.replicas > 1 and (bound := [p for p in process.run.ports if p.binding]):
            text = f"{process.replicas} containers cannot hold the host's port {bound[0].host_port}"
            yield ("processes", process.name, "ports"), text
    for one, other in combinations(processes, 2):
        taken = [b for p in one.run.ports if (b := p.binding)]
        for port in other.run.ports:
            if port.binding and any(port.binding.collides(t) for t in taken):
                text = f"the host's port {port.host_port} is taken by {one.name}, which runs on the same host"
                yield ("processes", other.name, "ports"), text
