"""After success: write the host record, and drop what no rollback needs; never what is not the service's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from relman.hosts import record
from relman.model.container import Container
from relman.model.errors import NotFound, RelmanError
from relman.model.plan import Observed, Plan, Step
from relman.model.record import Deployed, HostRecord
from relman.rollout.fleet import Session
from relman.rollout.planner import before
from relman.rollout.steps import Change

_STRAY_STOP = 10


def after(plan: Plan, step: Step, change: Change, remembered: HostRecord, *, proven: bool) -> HostRecord:
    """What the record says once the step is done. Pure."""
    entry = replace(step.entry, container=change.container, proven=proven)
    if plan.kind == "rollback":
        return remembered.returned(replace(entry, proven=True))
    return remembered.deployed(entry)


def keep(remembered: HostRecord, count: int) -> HostRecord:
    """The serving entry and the newest `count` other ones proven good, in their order. Pure."""
    others = [e.id for e in remembered.entries if e.proven and e.id != remembered.current]
    kept = {*others[-count:], remembered.current} if count else {remembered.current}
    return replace(remembered, entries=tuple(e for e in remembered.entries if e.id in kept))


def record_and_prune(
    session: Session, plan: Plan, step: Step, change: Change, seen: Observed, *, proven: bool
) -> tuple[str, ...]:
    """Write the record, then prune; returns warnings about what could not be pruned.

    Raises what writing the record raises.
    """
    written = after(plan, step, change, seen.record, proven=proven)
    kept = keep(written, plan.keep) if proven and plan.kind == "deploy" else written
    record.write(session.connection, kept)
    if session.lease:
        session.lease.settled()
    return tuple(_prune(session, seen, kept)) if proven else ()


def _prune(session: Session, seen: Observed, kept: HostRecord) -> Iterator[str]:
    current = kept.serving
    way_back = before(kept, current) if current else None
    staying = {e.container for e in (current, way_back) if e}
    for container in seen.containers:
        if container.id not in staying:
            yield from _warn(f"container {container.name}", partial(_remove, session, container))
    tags = {e.kept_as for e in kept.entries}
    for entry in seen.record.entries:
        if entry.kept_as not in tags:
            yield from _warn(f"image {entry.release}", partial(_drop_image, session, entry))


def _remove(session: Session, container: Container) -> None:
    if container.alive and session.engine.inspect(container.id).alive:
        session.engine.set_restart(container.id, "no")
        session.engine.stop(container.id, _STRAY_STOP)
    session.engine.remove(container.id)


def _drop_image(session: Session, entry: Deployed) -> None:
    """Drop our names of the image; the engine deletes it when nobody else has one."""
    for reference in (entry.kept_as, entry.repository.at(entry.manifest)):
        with contextlib.suppress(NotFound):
            session.engine.remove_image(reference)


def _warn(what: str, work: Callable[[], None]) -> Iterator[str]:
    try:
        work()
    except NotFound:
        return
    except RelmanError as error:
        yield f"{what} could not be pruned: {error.what}"
