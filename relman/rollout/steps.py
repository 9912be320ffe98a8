"""Carry out one step on one host. Containers of the service are changed only here, in undo.py, prune.py and remove.py.

The parts of a step that changes a container, each marked where it is done:

a. Write the intent into the lock, and compare the host with the plan again.
b. Create the new container, or take the kept one.
c. Stop the old container if both must not run, and start the new one.
d. Wait until it is healthy for its window, drafting the record meanwhile.
e. Check that it runs the tested image.
f. Swap the restart policies, and stop the old container if it still runs.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial

from relman.model.container import CONFIG, DEPLOYMENT, ENVIRONMENT, MANIFEST, RELEASE, SERVICE, TASK, Container, RunSpec
from relman.model.errors import Cancelled, NotFound, Stale, StepFailed, Unreachable
from relman.model.plan import Action, Kind, Observed, Plan, Step
from relman.model.record import Deployed, Intent, Phase
from relman.rollout import busy_ports as ports
from relman.rollout.fleet import Session, Watcher
from relman.rollout.health import await_healthy
from relman.rollout.looking.askable import stranger
from relman.rollout.planning.replacement_order import share_port
from relman.rollout.secrets import equipped, require_kept
from relman.rollout.state.next_record import draft


@dataclass(frozen=True)
class Change:
    """The result of a step: the container that serves now, and fields of model.plan.Outcome."""

    container: str
    gap: float | None = None
    boot: float | None = None
    unasked: str = ""


def container_name(plan: Plan) -> str:
    """The name of the containers that this plan creates."""
    return f"{plan.service}-{plan.environment}-{plan.id}"


def do(
    session: Session, plan: Plan, step: Step, seen: Observed, image: str, cancel: threading.Event, watcher: Watcher
) -> Change:
    """Carry out `step`; `image` is the local reference of the entry's image.

    Raises StepFailed, Cancelled, or what the engine raises; the host may then be in any state, which `undo` reverts.
    """
    if step.action is Action.VERIFY:
        return _verify(session, step, cancel, watcher)
    if cancel.is_set():
        raise Cancelled("cancelled before it started")
    reusable = _reusable(seen, step.entry)
    # Part a.
    _begin(session, plan, step, intended(plan, step, seen))
    # Part b.
    watcher.host(step.host, "creating")
    new = _make(session, plan, step, image, reusable)
    # Part c.
    bars = plan.kind is not Kind.ROLLBACK
    gap, started, other = _start(session, step, new, watcher, bars=bars)
    # Part d.
    unasked = step.unasked or other
    watcher.host(step.host, "watching" if unasked else "waiting for health")
    _, healthy = session.connection.together(
        partial(draft, session, plan, step, new, seen),
        partial(await_healthy, session, new, step.entry.settings, cancel, unasked=bool(unasked)),
    )
    # Parts e and f.
    read_back(session, step, healthy.container)
    commit(session, step, new)
    return Change(new, gap, healthy.first_seen - started, unasked)


def _verify(session: Session, step: Step, cancel: threading.Event, watcher: Watcher) -> Change:
    watcher.host(step.host, "waiting for health")
    unasked = bool(step.unasked)
    healthy = await_healthy(session, step.entry.container, step.entry.settings, cancel, unasked=unasked)
    read_back(session, step, healthy.container)
    return Change(step.entry.container, unasked=step.unasked)


def _look_again(session: Session, plan: Plan, step: Step) -> None:
    """Raise Stale if the host has changed since the plan was made: it is not overwritten."""
    found = ""
    if step.old:
        try:
            state = session.engine.inspect(step.old)
            found = "" if state.alive else f"{step.old_release} is {state.status}"
        except NotFound:
            found = f"the container of {step.old_release} is gone"
    else:
        running = [c for c in session.engine.survey(_own(plan))[0] if c.alive and TASK not in c.labels]
        found = f"{running[0].name} runs" if running else ""
    if found:
        hint = "run the same command again to plan anew"
        raise Stale(f"changed since the plan was made, and was not touched: {found}", host=step.host, hint=hint)


def _own(plan: Plan) -> dict[str, str]:
    return {SERVICE: plan.service, ENVIRONMENT: plan.environment}


def _reusable(seen: Observed, entry: Deployed) -> Container | None:
    """The stopped container of this deployment, whose restart is the fast way back."""
    kept = seen.container_of(entry.id)
    if kept is None or kept.alive or kept.image_id != entry.image_id:
        return None
    known = next((e for e in seen.record.entries if e.id == entry.id), None)
    # Its secrets were settled when it was created.
    return kept if not entry.secrets or (known and known.secrets == entry.secrets) else None


def intended(plan: Plan, step: Step, seen: Observed) -> Intent:
    """The intent of a step that changes a container. Pure."""
    reusable = _reusable(seen, step.entry)
    return Intent(
        old=step.old,
        old_restart=step.old_restart,
        new_name=reusable.name if reusable else container_name(plan),
        entry=step.entry,
        stop_first=step.stop_first,
        reused=reusable is not None,
        rollback=plan.kind == "rollback",
    )


def _begin(session: Session, plan: Plan, step: Step, intent: Intent) -> None:
    """Write the intent while comparing the host; if it is stale, withdraw the intent. Raises Stale."""
    lease = session.lease
    try:
        session.connection.together(
            partial(_look_again, session, plan, step),
            *([partial(lease.advance, Phase.CHANGING, intent)] if lease else []),
        )
    except Stale:
        if lease:
            lease.advance(Phase.HELD, None)
        raise


def _make(session: Session, plan: Plan, step: Step, image: str, reusable: Container | None) -> str:
    """Create the new container, or take the kept one, and return its id.

    The new one must not start after a reboot yet. The old one must, if it is going to be stopped before the new one
    starts.
    """
    engine = session.engine
    old = [partial(engine.set_restart, step.old, "always")] if step.old and step.stop_first else []
    if reusable:
        require_kept(session, plan, step.entry)
        session.connection.together(*old, partial(engine.set_restart, reusable.id, "no"))
        return reusable.id
    entry = replace(step.entry, settings=equipped(session, plan, step.entry))
    spec = _spec(plan, entry, image, container_name(plan))
    return str(session.connection.together(*old, partial(engine.create, spec))[-1])


def _spec(plan: Plan, entry: Deployed, image: str, name: str) -> RunSpec:
    labels = _own(plan) | {
        DEPLOYMENT: entry.id,
        RELEASE: entry.release,
        MANIFEST: str(entry.manifest),
        CONFIG: str(entry.config),
    }
    # Until it is healthy, a reboot must start the old container and not the new one.
    settings = replace(entry.settings, restart="no")
    return RunSpec(name, image, settings, labels, aliases=(plan.service,))


def _start(session: Session, step: Step, new: str, watcher: Watcher, *, bars: bool) -> tuple[float | None, float, str]:
    """Start the new container, stopping the old one first if both must not run.

    Returns the gap in seconds (None without one), the start time, and what `_swap` returns. If the connection is lost
    and reopened meanwhile, all of it is repeated: the host may have rebooted and started the old container.
    """
    stops = bool(step.old) and step.stop_first
    watcher.host(step.host, "replacing" if stops else "starting")
    connection, standing, begin = session.connection, session.connection.standing, time.monotonic()
    try:
        other = _swap(session, step, new, bars=bars)
    except Unreachable:
        connection.lasting(connection.require)
        if connection.standing is standing:
            raise
        other = _swap(session, step, new, bars=bars)
    end = time.monotonic()
    return end - begin if stops else None, end, other


def _swap(session: Session, step: Step, new: str, *, bars: bool) -> str:
    """Returns the process that would answer the health check in place of the new container; with `bars` that is
    StepFailed."""
    standing = session.connection.standing
    if step.old and step.stop_first:
        session.engine.stop(step.old, step.old_stop_timeout)
        session.connection.require(standing)
    other = stranger(session, step.entry.settings)
    if other and session.engine.inspect(new).running:  # started before the connection was lost
        other = ""
    if other and bars:
        raise StepFailed(f"its health cannot be checked: {other}", host=session.host.name)
    ports.start(session, new)
    return other


def read_back(session: Session, step: Step, container: Container) -> None:
    """Raise StepFailed unless the container runs the tested image."""
    if container.image_id != step.entry.image_id:
        raise StepFailed(
            f"runs image {container.image_id}, not the tested {step.entry.image_id}",
            host=session.host.name,
            hint="the engine holds another image under this name; look at who pushes or tags there",
        )


def commit(session: Session, step: Step, new: str) -> None:
    """Make a reboot start the new container and no longer the old one.

    The two policies cannot be changed atomically. In between, a reboot starts both containers, of which one gets the
    port; or, where only relman keeps both from writing the same data, neither.
    """
    engine = session.engine
    retire = partial(engine.set_restart, step.old, "no") if step.old else None
    if retire and not reboot_chooses(step):
        retire()
    engine.set_restart(new, step.entry.settings.restart)
    if retire and reboot_chooses(step):
        retire()
    if step.old and not step.stop_first:
        engine.stop(step.old, step.old_stop_timeout)


def reboot_chooses(step: Step) -> bool:
    """Whether both containers may start after a reboot: they can run at once, or only one can get the port."""
    return not step.stop_first or bool(share_port(step.before.settings if step.before else None, step.entry.settings))
