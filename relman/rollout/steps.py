"""Do one step on one host, and undo it: the only place where containers change."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, replace

from relman.model.container import (
    CONFIG,
    DEPLOYMENT,
    ENVIRONMENT,
    MANIFEST,
    RELEASE,
    SERVICE,
    Container,
    RunSpec,
)
from relman.model.errors import Cancelled, NotFound, RelmanError
from relman.model.plan import Action, Observed, Outcome, Plan, Result, Step
from relman.model.record import Deployed, Intent, Phase
from relman.rollout.fleet import Session, Watcher
from relman.rollout.health import StepFailed, await_healthy

_RETURN_WAIT = 5.0


@dataclass(frozen=True)
class Change:
    """What a step did: the container that serves now, and the times (model.plan.Outcome)."""

    container: str
    gap: float | None = None
    boot: float | None = None


def container_name(plan: Plan) -> str:
    """The name of the containers that this plan creates."""
    return f"{plan.service}-{plan.environment}-{plan.id}"


def do(
    session: Session, plan: Plan, step: Step, seen: Observed, image: str, cancel: threading.Event, watcher: Watcher
) -> Change:
    """Carry out `step`, from looking again to the read-back; `image` is the local reference of the entry's image.

    Raises StepFailed, Cancelled, or what the engine raises; the host may then be in any state, and `undo` mends it.
    """
    if step.action is Action.VERIFY:
        return _verify(session, step, cancel, watcher)
    if cancel.is_set():
        raise Cancelled("cancelled before its turn")
    _look_again(session, plan, step)
    reusable = _reusable(seen, step.entry)
    intent = _intent(plan, step, reusable)
    _advance(session, Phase.CHANGING, intent)
    watcher.host(step.host, "creating")
    new = reusable.id if reusable else session.engine.create(_spec(plan, step.entry, image, intent.new_name))
    if reusable:
        session.engine.set_restart(new, "no")
    gap, started = _start(session, step, new, watcher)
    watcher.host(step.host, "waiting for health")
    healthy = await_healthy(session, new, step.entry.settings, cancel)
    read_back(session, step, healthy.container)
    commit(session, step, new)
    return Change(new, gap, healthy.first_seen - started)


def _verify(session: Session, step: Step, cancel: threading.Event, watcher: Watcher) -> Change:
    watcher.host(step.host, "waiting for health")
    healthy = await_healthy(session, step.entry.container, step.entry.settings, cancel)
    read_back(session, step, healthy.container)
    return Change(step.entry.container)


def _look_again(session: Session, plan: Plan, step: Step) -> None:
    """Compare with what the plan was made from; a host that changed since is not overwritten."""
    stale = "changed since the plan was made"
    if step.old:
        try:
            if session.engine.inspect(step.old).alive:
                return
        except NotFound:
            stale = "changed since the plan was made: its container is gone"
    elif not any(c.alive for c in session.engine.survey(_own(plan))[0]):
        return
    raise StepFailed(stale, host=step.host, hint="run the same command again to plan anew")


def _own(plan: Plan) -> dict[str, str]:
    return {SERVICE: plan.service, ENVIRONMENT: plan.environment}


def _reusable(seen: Observed, entry: Deployed) -> Container | None:
    """The stopped container of this very deployment: the fast way back."""
    kept = seen.container_of(entry.id)
    return kept if kept and not kept.running and kept.image_id == entry.image_id else None


def _intent(plan: Plan, step: Step, reusable: Container | None) -> Intent:
    return Intent(
        old=step.old,
        old_restart=step.old_restart,
        new_name=reusable.name if reusable else container_name(plan),
        entry=step.entry,
        stop_first=step.stop_first,
        reused=reusable is not None,
        rollback=plan.kind == "rollback",
    )


def _advance(session: Session, phase: Phase, intent: Intent | None) -> None:
    if session.lease:
        session.lease.advance(phase, intent)


def _spec(plan: Plan, entry: Deployed, image: str, name: str) -> RunSpec:
    labels = _own(plan) | {
        DEPLOYMENT: entry.id,
        RELEASE: entry.release,
        MANIFEST: str(entry.manifest),
        CONFIG: str(entry.config),
    }
    # Until it is proven the new container must not come back after a reboot: the old one does.
    settings = replace(entry.settings, restart="no")
    return RunSpec(name, image, settings, labels, aliases=(plan.service,))


def _start(session: Session, step: Step, new: str, watcher: Watcher) -> tuple[float | None, float]:
    """Start the new container, stopping the old one before where two must not run; returns gap and start time."""
    engine = session.engine
    if not (step.old and step.stop_first):
        watcher.host(step.host, "starting")
        engine.start(new)
        return None, time.monotonic()
    engine.set_restart(step.old, "always")
    watcher.host(step.host, "replacing")
    begin = time.monotonic()
    engine.stop(step.old, step.old_stop_timeout)
    engine.start(new)
    end = time.monotonic()
    return end - begin, end


def read_back(session: Session, step: Step, container: Container) -> None:
    """Raise StepFailed unless the container runs the very image that was tested."""
    if container.image_id != step.entry.image_id:
        raise StepFailed(
            f"runs image {container.image_id}, not the tested {step.entry.image_id}",
            host=session.host.name,
            hint="the engine holds another image under this name; look at who pushes or tags there",
        )


def commit(session: Session, step: Step, new: str) -> None:
    """From here a reboot brings back the new container, and no longer the old one."""
    engine = session.engine
    if step.old:
        engine.set_restart(step.old, "no")
    engine.set_restart(new, step.entry.settings.restart)
    if step.old and not step.stop_first:
        engine.stop(step.old, step.old_stop_timeout)


def undo(session: Session, intent: Intent, current: Deployed | None) -> Outcome:
    """Put the old container back in the place of the new one; safe to repeat from any point of `do`.

    `current` is what the record says of the old one. The outcome is RETURNED, or NOT_SERVING with the evidence.
    """
    _advance(session, Phase.RETURNING, intent)
    new = find(session, intent.new_name)
    old = find(session, intent.old) if intent.old else None
    if new and intent.stop_first:
        _retire(session, new)
    if old:
        if not old.running:
            session.engine.start(old.id)
        session.engine.set_restart(old.id, intent.old_restart)
    if new:
        if not intent.stop_first:
            _retire(session, new)
        if not intent.reused:
            session.engine.remove(new.id)
    outcome = _returned(session, intent, current)
    _advance(session, Phase.HELD, None)
    return outcome


def find(session: Session, name: str) -> Container | None:
    """The container of this name or id, or None."""
    try:
        return session.engine.inspect(name)
    except NotFound:
        return None


def _retire(session: Session, container: Container) -> None:
    with contextlib.suppress(NotFound):
        if container.restart_policy != "no":
            session.engine.set_restart(container.id, "no")
        session.engine.stop(container.id, 10)


def _returned(session: Session, intent: Intent, current: Deployed | None) -> Outcome:
    host = session.host.name
    if not intent.old:
        return Outcome(host, Result.RETURNED, "nothing ran here before, and nothing runs now")
    name = current.release if current else "the container before"
    old = find(session, intent.old)
    if not (old and old.running):
        return Outcome(host, Result.NOT_SERVING, f"{name} could not be started again")
    if current is None:
        return Outcome(host, Result.RETURNED, f"back on {name}")
    patience = replace(current.settings, health=replace(current.settings.health, timeout=_RETURN_WAIT))
    try:
        await_healthy(session, old.id, patience, threading.Event(), window=0.0)
    except RelmanError as error:
        return Outcome(host, Result.RETURNED, f"back on {name}, whose health is not confirmed: {error.what}")
    return Outcome(host, Result.RETURNED, f"back on {name}")
