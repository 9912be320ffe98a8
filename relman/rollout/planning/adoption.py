"""Containers of others in whose place a deployment puts the service (`--adopt`). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from relman.model.container import ENVIRONMENT, SERVICE, Container
from relman.model.errors import PreflightFailed
from relman.model.plan import Observed

_SWARM = "com.docker.swarm.task.id"
_ADOPTED = ("running", "restarting")


def adopted(fleet: Sequence[Observed], names: Collection[str]) -> Mapping[str, tuple[Container, ...]]:
    """The containers of these names on each host: what the service replaces there, where it does not run yet.

    Raises PreflightFailed if no host has one of the names, or if a container cannot be replaced.
    """
    found = {o.host: tuple(c for c in o.foreign if c.name in names) for o in fleet}
    there = {c.name for each in found.values() for c in each}
    faults = [f"no host has a container {name}" for name in names if name not in there]
    faults += [f"{o.host}: {why}" for o in fleet for c in found[o.host] if (why := _unfit(o, c))]
    if faults:
        raise PreflightFailed("not every container can be adopted", details=faults, hint="nothing was changed")
    return {o.host: found[o.host] for o in fleet if not _deployed(o)}


def _deployed(seen: Observed) -> bool:
    return bool(seen.record.serving or seen.in_place)


def _unfit(seen: Observed, container: Container) -> str:
    name, labels = container.name, container.labels
    if SERVICE in labels:
        return f"{name} is relman's own, of {labels[SERVICE]} in {labels.get(ENVIRONMENT, 'an environment')}"
    if _SWARM in labels:
        return f"{name} is a task of a swarm, which would start another one in its place"
    if _deployed(seen):
        return (
            f"{name} runs beside the service, which was deployed there: docker stop {name}" if container.alive else ""
        )
    if container.auto_remove:
        return f"{name} was started with --rm: once stopped it is gone, and nothing could start it again"
    if container.status not in _ADOPTED:
        return f"{name} is {container.status}: only one that runs can be adopted"
    return ""
