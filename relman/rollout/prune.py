"""After success: write the host record, and drop what no rollback needs; never what is not the service's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from relman.hosts import record
from relman.model.container import Container
from relman.model.errors import NotFound, RelmanError
from relman.model.plan import Observed, Plan, Step
from relman.model.record import Deployed, HostRecord, kept_name
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.steps import Change
from relman.rollout.target import before

_STRAY_STOP = 10


def after(plan: Plan, step: Step, change: Change, remembered: HostRecord, *, proven: bool) -> HostRecord:
    """What the record says once the step is done. Pure."""
    entry = replace(step.entry, container=change.container, proven=proven)
    remembered = replace(remembered, left_out=plan.left_out)
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


def note_left_out(fleet: Fleet, plan: Plan, seen: Mapping[str, Observed], watcher: Watcher) -> None:
    """Write down on the unchanged hosts, too, which hosts a person left out: whoever asks any host shall know."""
    hosts = [h for h in plan.unchanged if plan.left_out and seen[h].record.left_out != plan.left_out]

    def one(session: Session) -> None:
        record.write(session.connection, replace(seen[session.host.name].record, left_out=plan.left_out))

    for host, error in fleet.each(one, hosts).errors.items():
        watcher.say(f"{host}: could not note which hosts were left out: {error.what}")


def _prune(session: Session, seen: Observed, kept: HostRecord) -> Iterator[str]:
    current = kept.serving
    way_back = before(kept, current) if current else None
    staying = {e.container for e in (current, way_back) if e}
    for container in seen.containers:
        if container.id not in staying:
            yield from warned(f"container {container.name}", partial(_remove, session, container))
        elif _may_return(container, current):
            yield from warned(f"container {container.name}", partial(session.engine.set_restart, container.id, "no"))
    yield from _drop_images(session, seen, kept)


def _drop_images(session: Session, seen: Observed, kept: HostRecord) -> Iterator[str]:
    """Let go of every image that was kept for the service and that the record no longer names: those of older releases,
    and those of deployments that failed or died."""
    name = kept_name(kept.environment, kept.service)
    tags = {e.kept_as for e in kept.entries}
    repositories = {str(e.repository) for e in seen.record.entries}
    for image in seen.images:
        own = {t for t in image.repo_tags if t.rpartition(":")[0] == name}
        if own and not own & tags:
            pulled = [d for d in image.repo_digests if d.partition("@")[0] in repositories]
            for reference in (*own, *pulled):
                yield from warned(f"image {reference}", partial(session.engine.remove_image, reference))


def _may_return(container: Container, current: Deployed | None) -> bool:
    """Whether it died before it was replaced, and a reboot would bring it back beside its successor."""
    replaced = current is not None and container.id != current.container
    return replaced and not container.running and container.restart_policy != "no"


def _remove(session: Session, container: Container) -> None:
    if container.alive and session.engine.inspect(container.id).alive:
        session.engine.set_restart(container.id, "no")
        session.engine.stop(container.id, _STRAY_STOP)
    session.engine.remove(container.id)


def drop_image(session: Session, entry: Deployed) -> None:
    """Drop our names of the image; the engine deletes it when nobody else has one."""
    for reference in (entry.kept_as, entry.repository.at(entry.manifest)):
        with contextlib.suppress(NotFound):
            session.engine.remove_image(reference)


def warned(what: str, work: Callable[[], None]) -> Iterator[str]:
    """Do what is not needed for the deployment to be good; a failure becomes a warning."""
    try:
        work()
    except NotFound:
        return
    except RelmanError as error:
        yield f"{what} could not be pruned: {error.what}"
