"""After success, write the host's record, and remove what no rollback needs; never what does not belong to the
service."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import record
from relman.model.container import Container
from relman.model.errors import EngineError, NotFound, RelmanError
from relman.model.plan import Observed, Plan, Step
from relman.model.reference import familiar, repository_of
from relman.model.state_dir.record import Deployed, HostRecord, kept_name
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.planning.rollback_target import before
from relman.rollout.state.next_record import remembered
from relman.rollout.steps import Change

_STRAY_STOP = 10


def record_and_prune(
    session: Session,
    plan: Plan,
    step: Step,
    change: Change,
    seen: Observed,
    *,
    proven: bool,
    beside: Iterable[Callable[[], str]] = (),
) -> tuple[str, ...]:
    """Write the record, and prune what neither it nor the previous release needs; returns warnings.

    `beside` is run while pruning, after the record is written. Raises what writing the record raises.
    """
    written = remembered(plan, step, change.units, seen.record, proven=proven)
    *notes, _ = session.connection.together(
        *(_works(_containers(session, seen, written)) if proven else ()), partial(_record, session, written)
    )
    # Images last: the engine removes one only if no container uses it.
    images = _works(_images(session, seen, written)) if proven else []
    notes += session.connection.together(*images, *beside)
    return tuple(filter(None, notes))


def _record(session: Session, written: HostRecord) -> None:
    draft, session.draft = session.draft, None
    if draft and draft.record == written:
        draft.place()
    else:
        record.write(session.connection, written)
        if draft:
            draft.drop()
    if session.lease:
        session.lease.settled()


def note_hosts(fleet: Fleet, plan: Plan, seen: Mapping[str, Observed], watcher: Watcher) -> None:
    """Write the plan's hosts and the excluded ones into the records of unchanged hosts, too, so that every host knows
    them."""
    known = {host: seen[host].record for host in plan.unchanged}
    due = {host: noted for host, each in known.items() if (noted := _noted(each, plan)) != each}

    def one(session: Session) -> None:
        record.write(session.connection, due[session.host.name])

    for host, error in fleet.each(one, due).errors.items():
        watcher.say(f"{host}: could not note which hosts were deployed to, and which left out: {error.what}")


def _noted(known: HostRecord, plan: Plan) -> HostRecord:
    entries = tuple(e.among(plan.hosts) if e.id == known.current else e for e in known.entries)
    return replace(known, entries=entries, left_out=plan.left_out or known.left_out)


def _works(works: Iterable[tuple[str, Callable[[], None]]]) -> list[Callable[[], str]]:
    return [partial(tolerated, what, work) for what, work in works]


def _containers(session: Session, seen: Observed, kept: HostRecord) -> Iterator[tuple[str, Callable[[], None]]]:
    current = kept.serving
    way_back = before(kept, current) if current else None
    serving = current.ids if current else frozenset()
    staying = serving | (way_back.ids if way_back else frozenset())
    for container in seen.containers:
        if container.id not in staying:
            yield f"container {container.name}", partial(_remove, session, container)
        elif container in seen.extra and current and container.id not in serving:
            yield f"container {container.name}", partial(_retire, session, container)
        elif _may_return(container, current):
            yield f"container {container.name}", partial(session.engine.set_restart, container.id, "no")


def _images(session: Session, seen: Observed, kept: HostRecord) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every image that was kept for the service and is not in the record: of older releases, and of failed or
    interrupted deployments."""
    name = kept_name(kept.environment, kept.service)
    tags = {e.kept_as for e in kept.entries}
    repositories = {familiar(str(e.repository)) for e in (*seen.record.entries, *kept.entries)}
    for image in seen.images:
        own = {t for t in image.repo_tags if repository_of(t) == name}
        if own and not own & tags:
            pulled = [d for d in image.repo_digests if repository_of(d) in repositories]
            for reference in (*own, *pulled):
                yield f"image {reference}", partial(_remove_image, session, reference)


def _remove_image(session: Session, reference: str) -> None:
    """Remove a name of an image.

    All its names are removed in parallel, and an engine that deletes the image for one may fail on another
    ("unrecognized image ID"): then it is retried once.
    """
    try:
        session.engine.remove_image(reference)
    except EngineError as error:
        if isinstance(error, NotFound):
            raise
        session.engine.remove_image(reference)


def _may_return(container: Container, current: Deployed | None) -> bool:
    """Whether it died before it was replaced, and a reboot would bring it back beside its successor."""
    replaced = current is not None and container.id not in current.ids
    return replaced and not container.running and container.restart_policy != "no"


def _remove(session: Session, container: Container) -> None:
    _retire(session, container)
    session.engine.remove(container.id)


def _retire(session: Session, container: Container) -> None:
    if container.alive and session.engine.inspect(container.id).alive:
        session.engine.set_restart(container.id, "no")
        session.engine.stop(container.id, _STRAY_STOP)


def drop_image(session: Session, entry: Deployed) -> None:
    """Remove relman's names of the image; the engine deletes it if it has no other."""
    for reference in (entry.kept_as, entry.repository.at(entry.manifest)):
        with contextlib.suppress(NotFound):
            session.engine.remove_image(reference)


def tolerated(what: str, work: Callable[[], None]) -> str:
    """Run what a good deployment does not need; a failure becomes a warning ("" if there is none)."""
    try:
        work()
    except NotFound:
        return ""
    except RelmanError as error:
        return f"{what} could not be pruned: {error.what}"
    return ""
