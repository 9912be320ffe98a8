"""Remove a service from its hosts: containers, kept images, records; never volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from relman.hosts.state_dir import record
from relman.model.plan import Kind, Observed, Outcome, Result
from relman.model.state_dir.lock import OldContainer, Phase
from relman.rollout.conclusion import Happened, failed
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.operation import look
from relman.rollout.planning.planner import Asked, bare_plan
from relman.rollout.pre_stop import before_stop
from relman.rollout.progress import Report, report_of
from relman.rollout.proxy.switch import let_serve_again
from relman.rollout.prune import drop_image, tolerated
from relman.rollout.rehearsal.containers import clear_left
from relman.rollout.state.journal import Journal
from relman.rollout.state.locks import Patience, locked, sweep

_STOP = 10


@dataclass(frozen=True)
class Removal:
    """What is removed from one host, and the `volumes` (names and paths) that stay."""

    host: str
    release: str
    containers: tuple[str, ...]
    images: tuple[str, ...]
    volumes: tuple[str, ...]

    @property
    def anything(self) -> bool:
        """Whether there is something to remove."""
        return bool(self.containers or self.images)


def plan_removal(fleet: Sequence[Observed]) -> tuple[Removal, ...]:
    """What is removed from every host. Pure."""
    return tuple(_removal(seen) for seen in fleet)


def _removal(seen: Observed) -> Removal:
    entries = seen.record.entries
    return Removal(
        host=seen.host,
        release=seen.record.serving.release if seen.record.serving else "",
        containers=tuple(c.name for c in (*seen.containers, *seen.tasks)),
        images=tuple(dict.fromkeys(e.kept_as for e in entries)),
        volumes=tuple(dict.fromkeys(m.source for e in entries for run in e.settings.every_run for m in run.volumes)),
    )


def preview(fleet: Fleet, asked: Asked) -> tuple[Removal, ...]:
    """What would be removed now; nothing is locked and nothing changes."""
    return plan_removal(look(fleet, asked))


def remove(fleet: Fleet, asked: Asked, watcher: Watcher, patience: Patience) -> Report:
    """Lock every host, and remove the service from all of them in parallel. Raises what `locked` and `look` raise."""
    with locked(fleet, asked, f"removing {asked.service}", watcher, patience=patience) as silent:
        seen = {o.host: o for o in look(fleet, asked)}

        def one(session: Session) -> Outcome:
            return take_away(session, asked, seen[session.host.name], watcher)

        clear_left(fleet, asked, tuple(seen.values()))
        done = fleet.each(one, [h for h, o in seen.items() if _removal(o).anything])
        outcomes = {h: Outcome(h, Result.UNCHANGED, "it was not there") for h in seen} | dict(done.answers)
        outcomes |= {h: failed(h, e) for h, e in done.errors.items()}
        happened = Happened(bare_plan(asked, Kind.REMOVE, "", tuple(seen)), tuple(outcomes.values()))
        journal = Journal(fleet, asked, watcher, seen)
        happened = journal.close(happened)
    fleet.each(lambda session: record.forget_directory(session.connection, asked.environment, asked.service))
    return report_of(journal.released(happened, silent))


def take_away(session: Session, asked: Asked, seen: Observed, watcher: Watcher) -> Outcome:
    """Remove the service from one host; safe to repeat after an interruption at any point."""
    host = session.host.name
    watcher.host(host, "removing")
    if session.lease:
        session.lease.advance(Phase.REMOVING, None)
    let_serve_again(session, None, (), seen.record.serving)
    before_stop(session, [OldContainer(c.id, c.process) for c in seen.serving], seen.record.serving)
    for container in (*seen.containers, *seen.tasks):
        if container.alive:
            session.engine.stop(container.id, _STOP)
        session.engine.remove(container.id)
    for entry in {e.kept_as: e for e in seen.record.entries}.values():
        if note := tolerated(f"image {entry.release}", partial(drop_image, session, entry)):
            watcher.say(f"{host}: {note}")
    record.forget(session.connection, asked.environment, asked.service)
    sweep(session, asked)
    if session.lease:
        session.lease.settled()
    return Outcome(host, Result.REMOVED, "its volumes stay" if _removal(seen).volumes else "")
