"""After a failure or a cancellation: roll hosts back as the plan's `on_failure` says."""

from __future__ import annotations

from collections.abc import Iterable

from relman.model.errors import Stale, Unreachable
from relman.model.plan import Outcome, Result
from relman.model.settings import OnFailure
from relman.rollout import undo
from relman.rollout.conclusion import failed
from relman.rollout.fleet import Session
from relman.rollout.progress import Work


def settle(work: Work) -> None:
    """Roll back all changed hosts or only the failed ones, but never past a task that is not marked rollback_safe."""
    everything = (work.cancelled or work.plan.on_failure is OnFailure.ROLLBACK) and not work.unsafe
    if everything and not work.cancelled:
        _wave_by_wave(work)
    else:
        go_back(work, work.begun if everything else work.failures.keys() & work.begun - _standing(work))


def _standing(work: Work) -> set[str]:
    """Hosts that serve the new release although a later task failed."""
    return set(work.changed) if work.unsafe else set()


def _wave_by_wave(work: Work) -> None:
    """Roll back the failed hosts first, then the others in reverse order of the waves, to keep the same number in
    service."""
    go_back(work, [h for h in work.begun if h not in work.changed])
    for wave in reversed(work.plan.waves):
        go_back(work, [s.host for s in wave.steps if s.host in work.changed])


def go_back(work: Work, hosts: Iterable[str]) -> None:
    """Restore the old container on each of these hosts on which a step began, and note the outcomes."""

    def one(session: Session) -> Outcome | None:
        host, lease = session.host.name, session.lease
        silent = isinstance(work.failures.get(host), Unreachable)
        if lease is None or lease.lock.intent is None:
            if silent:
                session.engine.facts()  # raises if it still does not answer: its state is unknown, not unchanged
            return None
        work.watcher.host(host, "rolling back")
        if silent:
            undo.await_engine(session, work.cancel)
        return undo.undo(session, lease.lock.intent, work.seen[host].record.serving)

    gone_back = work.fleet.each(one, list(hosts))
    for host, outcome in gone_back.answers.items():
        work.changed.pop(host, None)
        work.outcomes[host] = outcome or work.outcomes.get(host) or _untouched(work, host)
    for host, error in gone_back.errors.items():
        changed = work.changed.pop(host, None)
        served = f"{work.plan.release} served there, and the rollback failed"
        doing = served if changed else "it could not be rolled back"
        work.outcomes[host] = failed(host, error, doing)


def _untouched(work: Work, host: str) -> Outcome:
    error = work.failures.get(host)
    if isinstance(error, Stale):
        return Outcome(host, Result.STALE, error.what)
    return Outcome(host, Result.UNCHANGED, "was not touched")
