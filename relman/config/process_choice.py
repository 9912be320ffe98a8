"""Which processes of a release a host runs, by its inventory (relman_processes). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from relman.config.yaml_document import KeyPath
from relman.model.settings import Process


def chosen(
    processes: tuple[Process, ...], wanted: Mapping[str, int | None] | None
) -> Iterator[Process | tuple[KeyPath, str]]:
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
            yield Process(process.name, count, process.run, process.max_hosts)


def collisions(processes: Collection[Process]) -> Iterator[tuple[KeyPath, str]]:
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
