"""Containers of a rehearsal: outside rotation, and never taken for what serves."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from relman.model.container import MANIFEST, PROCESS, REHEARSAL, RELEASE, REPLICA, RunSpec
from relman.model.errors import NotFound
from relman.model.files import blanked
from relman.model.plan import Observed
from relman.model.settings import Port, RunSettings
from relman.model.state_dir.record import Deployed, Unit
from relman.rollout.fleet import Fleet, Session
from relman.rollout.planning.planner import Asked
from relman.rollout.proxy.container import NETWORK

_STOP = 10  # seconds until it is killed: nobody has sent it anything


def outside_rotation(settings: RunSettings) -> RunSettings:
    """The settings of such a container: all but what leads others to it (ports of the host, labels, names in networks),
    and started by nobody but relman."""
    container = replace(settings.container, labels={}, hostname=None)
    ports = tuple(Port(port.container, port.protocol) for port in settings.ports)
    networks = (*settings.networks, NETWORK) if settings.proxy else settings.networks
    return replace(settings, ports=ports, networks=networks, restart="no", container=container, aliases={})


def spec_of(asked: Asked, entry: Deployed, image: str, unit: Unit, settings: RunSettings) -> RunSpec:
    """What is created of an entry's unit, with the `settings` of its process, its secrets and files mounted."""
    labels = {
        **blanked(entry.settings.every_file),
        **of_rehearsals(asked),
        RELEASE: entry.release,
        MANIFEST: str(entry.manifest),
    }
    if unit.process:
        labels |= {PROCESS: unit.process, REPLICA: str(unit.replica)}
    return RunSpec(unit.name, image, outside_rotation(settings), labels)


def of_rehearsals(asked: Asked) -> Mapping[str, str]:
    """The label of all of them, of one service in one environment."""
    return {REHEARSAL: f"{asked.environment}/{asked.service}"}


def clear(session: Session, asked: Asked) -> None:
    """Remove all that are there. The lock must be held: nobody else has any."""

    def one(container: str, *, alive: bool) -> None:
        with contextlib.suppress(NotFound):
            if alive:
                session.engine.stop(container, _STOP)
            session.engine.remove(container)

    found, _ = session.engine.survey(of_rehearsals(asked))
    session.connection.together(*(partial(one, each.id, alive=each.alive) for each in found))


def clear_left(fleet: Fleet, asked: Asked, seen: Sequence[Observed]) -> None:
    """Remove those whose relman died. The locks must be held."""
    fleet.each(lambda session: clear(session, asked), [each.host for each in seen if each.rehearsals]).all(
        "removing what a rehearsal left"
    )
