"""Carry out one step on one host. Containers of the service are changed only here and in new_containers.py, undo.py,
prune.py and remove.py.

The parts of a step that changes a container, each marked where it is done:

a. Write the intent into the lock, and compare the host with the plan again.
b. Create the new container, or take the kept one (new_containers.py).
c. Stop the old container if both must not run, and start the new one.
d. Wait until it is healthy for its window, drafting the record meanwhile.
e. Check that it runs the tested image.
f. Swap the restart policies, see that the new container still runs, let the proxy send it the requests, and stop the
   old one if it still runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from relman.model.container import TASK, Container
from relman.model.errors import Cancelled, NotFound, Stale, StepFailed, Unreachable
from relman.model.plan import Action, Kind, Observed, Plan, Step, Turn
from relman.model.state_dir.lock import Intent, OldContainer, Phase
from relman.model.state_dir.record import Deployed, Unit
from relman.rollout import busy_ports as ports
from relman.rollout.commit import retire, serve
from relman.rollout.fleet import Session, Watcher
from relman.rollout.health import Healthy, await_healthy, watched_of
from relman.rollout.looking.askable import stranger
from relman.rollout.new_containers import intended, make, of_service
from relman.rollout.pre_stop import before_stop
from relman.rollout.state.next_record import draft


@dataclass(frozen=True)
class Change:
    """What a step did: the containers that serve now, and the times and the rest of model.plan.Outcome."""

    units: tuple[Unit, ...]
    gap: float | None = None
    gap_of: str = ""
    boot: float | None = None
    unasked: str = ""


@dataclass(frozen=True)
class Ready:
    """A step whose new containers are healthy, and the connection `standing` since before they were made."""

    change: Change
    standing: object


@dataclass(frozen=True)
class _Began:
    """Containers that were started: when (monotonic seconds), what it took the old ones from them, and who would be
    asked for their health in their place."""

    at: float
    gap: float | None = None
    stranger: str = ""


def do(
    session: Session, plan: Plan, step: Step, seen: Observed, image: str, cancel: threading.Event, watcher: Watcher
) -> Change:
    """Carry out `step`; `image` is the local reference of the entry's image.

    Raises StepFailed, Cancelled, or what the engine raises; the host may then be in any state, which `undo` reverts.
    """
    ready = prepare(session, plan, step, seen, image, cancel, watcher)
    if step.action is not Action.VERIFY:
        serve(session, step, ready.change.units, ready.standing, cancel, unasked=bool(ready.change.unasked))
        retire(session, step)
    return ready.change


def prepare(
    session: Session, plan: Plan, step: Step, seen: Observed, image: str, cancel: threading.Event, watcher: Watcher
) -> Ready:
    """Carry out the parts a to e of `step`; raises as `do`."""
    if step.action is Action.VERIFY:
        return Ready(_verify(session, step, cancel, watcher), session.connection.standing)
    if cancel.is_set():
        raise Cancelled("cancelled before it started")
    intent = intended(plan, step, seen)
    _begin(session, plan, step, intent)
    watcher.host(step.host, "creating")
    standing = session.connection.standing
    units = make(session, plan, step, image, intent)
    return Ready(_Replacement(session, plan, step, seen, units, cancel, watcher).carry_out(), standing)


@dataclass
class _Replacement:
    """The new containers on their way into the old ones' place, group by group: those first that start beside the old
    ones, since a failure there has stopped nothing; then each turn."""

    session: Session
    plan: Plan
    step: Step
    seen: Observed
    units: tuple[Unit, ...]
    cancel: threading.Event
    watcher: Watcher

    def carry_out(self) -> Change:
        """Start all of them, each group healthy before the next begins, and read them back."""
        beside = [u for u in self.units if u.process not in self.step.stop_first]
        changes = [self._group(beside, None)] if beside else []
        for turn in self.step.turns:
            changes.append(self._group([u for u in self.units if u.process in turn.processes], turn))
        gap, gap_of = max(((c.gap, c.gap_of) for c in changes if c.gap is not None), default=(None, ""))
        boot = max(c.boot or 0.0 for c in changes)
        return Change(self.units, gap, gap_of, boot, next((c.unasked for c in changes if c.unasked), ""))

    def _group(self, units: Sequence[Unit], turn: Turn | None) -> Change:
        session, step = self.session, self.step
        began = _start(session, step, units, turn, self.watcher, bars=self.plan.kind is not Kind.ROLLBACK)
        unasked = step.unasked or began.stranger
        self.watcher.host(step.host, "watching" if unasked else "waiting for health")
        # The record's draft is written once, while the first of them are waited for.
        beside = [] if session.draft else [partial(draft, session, self.plan, step, self.units, self.seen)]
        wait = partial(await_healthy, session, watched_of(step.entry, units), self.cancel, unasked=bool(unasked))
        healthy: Healthy = session.connection.together(*beside, wait)[-1]
        read_back(session, step.entry, healthy.containers)
        gap_of = ", ".join(filter(None, turn.processes)) if turn else ""
        gap = 0.0 if step.old and not turn else began.gap
        return Change(tuple(units), gap, gap_of, healthy.first_seen - began.at, unasked)


def _verify(session: Session, step: Step, cancel: threading.Event, watcher: Watcher) -> Change:
    watcher.host(step.host, "waiting for health")
    units = step.entry.parts
    healthy = await_healthy(session, watched_of(step.entry, units), cancel, unasked=bool(step.unasked))
    read_back(session, step.entry, healthy.containers)
    return Change(units, unasked=step.unasked)


def _look_again(session: Session, plan: Plan, step: Step) -> None:
    """Compare with what the plan was made from; a host that changed since is not overwritten."""
    if step.old:
        found = next(
            filter(None, session.connection.together(*(partial(_gone, session, step, o) for o in step.old))), ""
        )
    else:
        running = [c for c in session.engine.survey(of_service(plan))[0] if c.alive and TASK not in c.labels]
        found = f"{running[0].name} runs" if running else ""
    if found:
        hint = "run the same command again to plan anew"
        raise Stale(f"changed since the plan was made, and was not touched: {found}", host=step.host, hint=hint)


def _gone(session: Session, step: Step, old: OldContainer) -> str:
    """What has become of a container that had its place; "" where it still has."""
    name = f"{old.process} of {step.old_release}" if old.process else step.old_release
    try:
        state = session.engine.inspect(old.container)
    except NotFound:
        return f"the container of {name} is gone"
    return "" if state.alive else f"{name} is {state.status}"


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


def _start(
    session: Session, step: Step, units: Sequence[Unit], turn: Turn | None, watcher: Watcher, *, bars: bool
) -> _Began:
    """Start the new container, stopping the old one first if both must not run.

    Returns the gap in seconds (None without one), the start time, and what `_swap` returns. If the connection is lost
    and reopened meanwhile, all of it is repeated: the host may have rebooted and started the old container.
    """
    old = [o for o in step.old if turn and o.process in turn.processes]
    which = ", ".join(dict.fromkeys(u.process for u in units))
    watcher.host(step.host, f"{'replacing' if old else 'starting'} {which}".rstrip())
    before_stop(session, old, step.before)
    connection, standing, begin = session.connection, session.connection.standing, time.monotonic()
    try:
        other = _swap(session, step, units, old, bars=bars)
    except Unreachable:
        connection.lasting(connection.require)
        if connection.standing is standing:
            raise
        other = _swap(session, step, units, old, bars=bars)
    end = time.monotonic()
    return _Began(end, end - begin if old else None, other)


def _swap(session: Session, step: Step, units: Sequence[Unit], old: Sequence[OldContainer], *, bars: bool) -> str:
    """Returns the process that would answer the health check in place of the new container; with `bars` that is
    StepFailed."""
    together, standing = session.connection.together, session.connection.standing
    if old:
        together(*(partial(session.engine.stop, o.container, o.stop_timeout) for o in old))
        session.connection.require(standing)
    other = next(filter(None, (_stranger(session, step, u) for u in units)), "")
    if other and bars:
        raise StepFailed(f"its health cannot be checked: {other}", host=session.host.name)
    together(*(partial(ports.start, session, u.container) for u in units))
    return other


def _stranger(session: Session, step: Step, unit: Unit) -> str:
    other = stranger(session, step.entry.settings.run_of(unit.process))
    # Where the container runs, it was started before the connection was lost.
    return "" if other and session.engine.inspect(unit.container).running else other


def read_back(session: Session, entry: Deployed, containers: Iterable[Container]) -> None:
    """Raise StepFailed unless each container runs the very image that was tested."""
    for container in containers:
        if container.image_id != entry.image_id:
            raise StepFailed(
                f"{container.process or 'it'} runs image {container.image_id}, not the tested {entry.image_id}",
                host=session.host.name,
                hint="the engine holds another image under this name; look at who pushes or tags there",
            )
