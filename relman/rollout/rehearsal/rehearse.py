"""Rehearse a rollback: start what it would put on each host beside what serves, see it healthy, and remove it.

The steps, under the locks of all hosts, each marked where it is done:

1. Observe every host, and remove what an interrupted rehearsal left.
2. Plan (planning/rehearsal.py).
3. On each host: what a rollback needs there; create, start, wait for health, read back; remove in any case.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from relman.docker.creation import PREDEFINED
from relman.model.errors import Cancelled, CheckFailed, RelmanError, StepFailed, Unknown, Unreachable
from relman.model.plan import Kind, Observed, Plan, Step
from relman.model.state_dir.record import Unit
from relman.rollout.file_sets import bring, equipped
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.health import await_healthy, watched_of
from relman.rollout.looking.askable import why_mute
from relman.rollout.operation import look
from relman.rollout.planning.planner import Asked, bare_plan
from relman.rollout.planning.rehearsal import HostRehearsal, Rehearsal, lost_volumes
from relman.rollout.planning.strategies.batches import EVERYONE, batch_size
from relman.rollout.proxy.preflight import faults_of
from relman.rollout.rehearsal.containers import clear, clear_left, spec_of
from relman.rollout.secrets import kept_texts
from relman.rollout.state.locks import Patience, locked
from relman.rollout.steps import read_back

SERVES = "serves it already"


class RehearsalResult(StrEnum):
    """Whether a host is ready for the rollback."""

    READY = "ready"
    NOT_READY = "not ready"
    NOT_REHEARSED = "not rehearsed"  # nothing of it can run beside what serves, or it was cancelled
    UNKNOWN = "unknown"  # the host did not answer


@dataclass(frozen=True)
class Rehearsed:
    """One host: `detail` is for people, `lines` the evidence where it is not ready, `hint` what it takes. `boot` is the
    time in seconds until it was healthy, `unasked` why its health was not checked, `alone` why processes were not
    started."""

    host: str
    result: RehearsalResult
    detail: str = ""
    lines: tuple[str, ...] = ()
    hint: str = ""
    boot: float | None = None
    unasked: str = ""
    alone: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RehearsalReport:
    """The plan, what came of it on each host, and the error to end with (None: every host is ready)."""

    plan: Rehearsal
    hosts: tuple[Rehearsed, ...]
    error: RelmanError | None = None

    def of(self, result: RehearsalResult) -> list[Rehearsed]:
        """The hosts of which this was found."""
        return [each for each in self.hosts if each.result is result]

    @property
    def counted(self) -> str:
        """How many hosts are ready, of how many."""
        return f"{len(self.of(RehearsalResult.READY))} of {len(self.hosts)} ready"


def rehearse(
    fleet: Fleet,
    asked: Asked,
    plan: Callable[[Sequence[Observed]], Rehearsal],
    watcher: Watcher,
    cancel: threading.Event,
    patience: Patience,
) -> RehearsalReport:
    """Rehearse on all hosts, or as many at a time as `asked.max_unavailable` says. Nothing that serves is touched.

    Raises what `locked`, `look` and `plan` raise; otherwise the report contains the error.
    """
    with locked(fleet, asked, f"rehearsing a rollback of {asked.service}", watcher, patience=patience):
        # Step 1.
        seen = look(fleet, asked)
        clear_left(fleet, asked, seen)
        # Step 2.
        planned = plan(seen)
        # Step 3.
        found = _each(fleet, asked, planned, watcher, cancel)
        steps = [(host.host, (host.step.entry,)) for host in planned.hosts if host.step]
        watcher.hide(kept_texts(fleet, asked, steps))
    return concluded(asked, planned, found)


def _each(
    fleet: Fleet, asked: Asked, plan: Rehearsal, watcher: Watcher, cancel: threading.Event
) -> dict[str, Rehearsed | RelmanError]:
    hosts, found = {host.host: host for host in plan.hosts}, dict[str, Rehearsed | RelmanError]()

    def one(session: Session) -> Rehearsed:
        mine = hosts[session.host.name]
        done = _one(session, asked, mine, watcher, cancel)
        watcher.host(mine.host, str(done.result))
        return done

    size = batch_size(asked.max_unavailable or EVERYONE, len(hosts))
    for at in range(0, len(hosts), size):
        done = fleet.each(one, list(hosts)[at : at + size])
        found |= {**done.answers, **done.errors}
    return found


def _one(session: Session, asked: Asked, mine: HostRehearsal, watcher: Watcher, cancel: threading.Event) -> Rehearsed:
    host, step = mine.host, mine.step
    if cancel.is_set():
        raise Cancelled("cancelled before it started")
    if mine.lacks:
        return Rehearsed(host, RehearsalResult.NOT_READY, mine.lacks, hint=mine.hint)
    if step is None:
        return Rehearsed(host, RehearsalResult.READY, SERVES)
    plan = bare_plan(asked, Kind.ROLLBACK, step.entry.release, ())
    _require(session, plan, mine, step)
    if not mine.units:
        return Rehearsed(host, RehearsalResult.NOT_REHEARSED, "image, secrets and files are there")
    try:
        return _started(session, asked, plan, mine, step, watcher, cancel)
    finally:
        watcher.host(host, "removing")
        clear(session, asked)


def _require(session: Session, plan: Plan, mine: HostRehearsal, step: Step) -> None:
    """Raise StepFailed where the host lacks what a rollback needs besides the image."""
    host = session.host.name
    bring(session, plan, step.entry)
    if step.entry.settings.proxied and (faults := list(faults_of(session, plan, step))):
        raise StepFailed("; ".join(faults), host=host)
    named = dict.fromkeys(n for u in mine.units for n in step.entry.settings.run_of(u.process).networks)
    if missing := [n for n in named if n not in PREDEFINED and session.engine.network(n) is None]:
        raise StepFailed(
            f"there is no network {', '.join(missing)}", host=host, hint=f"there: docker network create {missing[0]}"
        )
    if lost := lost_volumes(step, session.engine.volumes()):
        raise StepFailed(f"has no volume {', '.join(lost)}: a rollback would make it anew, empty", host=host)


def _started(
    session: Session,
    asked: Asked,
    plan: Plan,
    mine: HostRehearsal,
    step: Step,
    watcher: Watcher,
    cancel: threading.Event,
) -> Rehearsed:
    entry = step.entry
    runs = {u.process: equipped(session, plan, entry, entry.settings.run_of(u.process)) for u in mine.units}

    def made(unit: Unit) -> Unit:
        spec = spec_of(asked, entry, mine.image, unit, runs[unit.process])
        return replace(unit, container=session.engine.create(spec))

    watcher.host(mine.host, "starting")
    units: list[Unit] = session.connection.together(*(partial(made, unit) for unit in mine.units))
    session.connection.together(*(partial(session.engine.start, unit.container) for unit in units))
    began = time.monotonic()
    unasked = next(filter(None, (why_mute(session, entry.settings.run_of(u.process)) for u in units)), "")
    watcher.host(mine.host, "watching" if unasked else "waiting for health")
    healthy = await_healthy(session, watched_of(entry, units), cancel, unasked=bool(unasked))
    read_back(session, entry, healthy.containers)
    detail = f"runs, its health was not checked: {unasked}" if unasked else "healthy" if entry.verified else "runs"
    return Rehearsed(mine.host, RehearsalResult.READY, detail, boot=healthy.first_seen - began, unasked=unasked)


def concluded(asked: Asked, plan: Rehearsal, found: Mapping[str, Rehearsed | RelmanError]) -> RehearsalReport:
    """The report of what was found on each host. Pure."""
    hosts = tuple(replace(_result(found[each.host], each.host), alone=each.alone) for each in plan.hosts)
    report = RehearsalReport(plan, hosts)
    details = [line for each in hosts for line in _lines(each)]
    what = f"the rehearsal of a rollback of {plan.service} to {plan.release} in {plan.environment}"
    if any(isinstance(each, Cancelled) for each in found.values()):
        return replace(report, error=Cancelled(f"{what} was cancelled; what serves was not touched"))
    if away := report.of(RehearsalResult.UNKNOWN):
        names = ", ".join(each.host for each in away)
        return replace(
            report,
            error=Unknown(
                f"{what}: no answer from {names}; {report.counted}",
                details=details,
                hint="what it left there does not serve, and the next one removes it: relman rollback "
                f"{asked.place} --rehearse",
            ),
        )
    if report.of(RehearsalResult.NOT_READY):
        return replace(report, error=CheckFailed(f"{what}: {report.counted}", details=details, hint=_hint(asked)))
    return report


def _hint(asked: Asked) -> str:
    return f"what serves was not touched; correct the cause, then: relman rollback {asked.place} --rehearse"


def _result(found: Rehearsed | RelmanError, host: str) -> Rehearsed:
    if isinstance(found, Rehearsed):
        return found
    if isinstance(found, Cancelled):
        return Rehearsed(host, RehearsalResult.NOT_REHEARSED, found.what)
    result = RehearsalResult.UNKNOWN if isinstance(found, Unreachable) else RehearsalResult.NOT_READY
    what = f"no answer: {found.what}" if result is RehearsalResult.UNKNOWN else found.what
    return Rehearsed(host, result, what, tuple(found.details), found.hint or "")


def _lines(each: Rehearsed) -> list[str]:
    if each.result not in (RehearsalResult.NOT_READY, RehearsalResult.UNKNOWN):
        return []
    hint = [f"  {each.hint}"] if each.hint else []
    return [f"{each.host}: {each.detail}", *(f"  {line}" for line in each.lines), *hint]
