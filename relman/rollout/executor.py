"""Carry out a plan: images everywhere first, then wave after wave; go back where the plan says so; record; prune."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relman.model.errors import (
    Cancelled,
    Interrupted,
    MixedFleet,
    NotServing,
    PullFailed,
    RelmanError,
    RolledBack,
)
from relman.model.plan import Action, Observed, Outcome, Plan, Result, Step
from relman.model.record import Deployed
from relman.model.settings import OnFailure
from relman.rollout import steps
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.observe import kept_image
from relman.rollout.prune import record_and_prune
from relman.rollout.steps import Change

Credentials = Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """How a plan ended: one outcome a host, and the error to end with (None when all is done)."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    error: RelmanError | None = None


@dataclass
class Work:
    """A plan under way. `auth_config` goes with each pull; `changed` are the hosts whose step came to its end."""

    plan: Plan
    fleet: Fleet
    seen: Mapping[str, Observed]
    watcher: Watcher
    cancel: threading.Event
    auth_config: Credentials | None = None
    images: dict[str, str] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    failures: dict[str, RelmanError] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)


def fetch_images(work: Work) -> None:
    """Bring every step's very image to its host, under a local tag that protects it; nothing has changed yet.

    Raises what the pulls raise (PullFailed, AccessDenied, Unreachable), or Cancelled.
    """

    def fetch(session: Session) -> str:
        return _fetch(session, by_host[session.host.name].entry, work)

    by_host = {s.host: s for s in work.plan.steps if s.action is not Action.VERIFY}
    work.images = dict(work.fleet.each(fetch, by_host, work.cancel).all("getting the image"))
    if work.cancel.is_set():
        raise Cancelled("cancelled; nothing was changed")


def _fetch(session: Session, entry: Deployed, work: Work) -> str:
    kept = kept_image(session, entry)
    if kept == entry.kept_as:
        return kept
    reference = entry.repository.at(entry.manifest)
    host = session.host.name
    if kept is None:

        def progress(done: int, total: int) -> None:
            if work.cancel.is_set():
                raise Cancelled("cancelled while getting the image", host=host)
            work.watcher.host(host, "pulling", done, total)

        work.watcher.host(host, "pulling")
        session.engine.pull(entry.repository, entry.manifest, work.auth_config, progress)
        found = session.engine.image(reference).id
        if found != entry.image_id:
            raise PullFailed(f"the engine calls the pulled image {found}, not {entry.image_id}", host=host)
    session.engine.keep(entry.image_id, entry.kept_as)
    return reference


def carry_out(work: Work) -> Report:
    """Do the waves, then record, or go back. A lease with an intent left marks a host left in the middle."""
    for wave in work.plan.waves:
        if not _do_wave(work, wave):
            break
    error = _settle(work) if len(work.changed) < len(work.plan.steps) else None
    if error is None or isinstance(error, MixedFleet):
        unwritten = _record(work)
        error = error or unwritten
    for host in work.plan.hosts:
        work.outcomes.setdefault(host, Outcome(host, Result.NOT_REACHED, "its turn never came"))
    return Report(work.plan, tuple(work.outcomes[h] for h in work.plan.hosts), error)


def _do_wave(work: Work, wave: Sequence[Step]) -> bool:
    """Do one wave; False when no further wave may start."""
    if work.cancel.is_set():
        return False
    by_host = {s.host: s for s in wave}
    work.begun.update(by_host)

    def one(session: Session) -> Change:
        host = session.host.name
        image = work.images.get(host, "")
        return steps.do(session, work.plan, by_host[host], work.seen[host], image, work.cancel, work.watcher)

    done = work.fleet.each(one, by_host)
    work.changed.update(done.answers)
    work.failures.update(done.errors)
    for host, change in done.answers.items():
        work.watcher.host(host, "done")
        work.outcomes[host] = Outcome(host, Result.CHANGED, by_host[host].entry.release, (), change.gap, change.boot)
    return not work.failures or work.plan.on_failure is OnFailure.CONTINUE


def _settle(work: Work) -> RelmanError:
    """After a failure or a cancellation: put back what the plan says, and say how it ended."""
    cancelled = work.cancel.is_set() or any(isinstance(e, Cancelled) for e in work.failures.values())
    everything_back = cancelled or work.plan.on_failure is OnFailure.ROLLBACK
    back = [h for h in work.begun if everything_back or h in work.failures]
    _go_back(work, back)
    results = {o.host: o.result for o in work.outcomes.values()}
    details = _failure_lines(work)
    if Result.NOT_SERVING in results.values():
        return NotServing(_title(work, "at least one host serves nothing"), details=details, hint=_status_hint(work))
    if Result.FAILED in results.values():
        kind = Interrupted if cancelled else MixedFleet
        hint = f"when the host is back: relman recover -e {work.plan.environment}"
        return kind(_title(work, "at least one host could not be put back"), details=details, hint=hint)
    if cancelled:
        return Cancelled(_title(work, "it was cancelled, and every host runs what it ran before"), details=details)
    if Result.CHANGED in results.values():
        return MixedFleet(
            _title(work, "the hosts now run different releases"), details=details, hint=_status_hint(work)
        )
    return RolledBack(_title(work, "it failed, and every host runs what it ran before"), details=details)


def _title(work: Work, text: str) -> str:
    return f"the {work.plan.kind} of {work.plan.service} {work.plan.release} to {work.plan.environment}: {text}"


def _status_hint(work: Work) -> str:
    return f"relman status -e {work.plan.environment} shows every host"


def _failure_lines(work: Work) -> list[str]:
    lines: list[str] = []
    for host, error in work.failures.items():
        if not isinstance(error, Cancelled):
            lines += [f"{host}: {error.what}", *(f"  {d}" for d in error.details)]
    return lines + [f"{o.host}: {o.detail}" for o in work.outcomes.values() if o.result is not Result.CHANGED]


def _go_back(work: Work, hosts: Iterable[str]) -> None:
    def one(session: Session) -> Outcome:
        work.watcher.host(session.host.name, "going back")
        lease = session.lease
        if lease is None or lease.lock.intent is None:
            return Outcome(session.host.name, Result.UNCHANGED, "was not touched")
        return steps.undo(session, lease.lock.intent, work.seen[session.host.name].record.serving)

    gone_back = work.fleet.each(one, list(hosts))
    for host, outcome in gone_back.answers.items():
        work.changed.pop(host, None)
        work.outcomes[host] = outcome
    for host, error in gone_back.errors.items():
        work.changed.pop(host, None)
        work.outcomes[host] = Outcome(host, Result.FAILED, f"could not be put back: {error.what}", error.details)


def _record(work: Work) -> RelmanError | None:
    """Write what serves now, proven good when the whole plan came to its end, then drop what nobody needs any more.

    The error is for hosts whose record could not be written: they stay interrupted, with the intent in their lock.
    """
    by_host = {s.host: s for s in work.plan.steps}
    whole = not work.failures

    def one(session: Session) -> tuple[str, ...]:
        host = session.host.name
        return record_and_prune(session, work.plan, by_host[host], work.changed[host], work.seen[host], proven=whole)

    written = work.fleet.each(one, list(work.changed))
    for host, notes in written.answers.items():
        for note in notes:
            work.watcher.say(f"{host}: {note}")
    for host, error in written.errors.items():
        work.outcomes[host] = Outcome(
            host, Result.FAILED, f"runs it, but its record could not be written: {error.what}"
        )
    for host in work.plan.unchanged:
        work.outcomes[host] = Outcome(host, Result.UNCHANGED, work.plan.release)
    if not written.errors:
        return None
    return Interrupted(
        _title(work, "every host runs it, but not every host could write that down"),
        details=[f"{host}: {error.what}" for host, error in written.errors.items()],
        hint=f"mend the cause, then: relman recover -e {work.plan.environment}",
    )
