"""After a failure or a cancellation: put back what the plan says, and say how it ended."""

from __future__ import annotations

from collections.abc import Iterable

from relman.model.errors import Cancelled, Interrupted, MixedFleet, NotServing, RelmanError, RolledBack, Unreachable
from relman.model.plan import Outcome, Plan, Result
from relman.model.settings import OnFailure
from relman.rollout import undo
from relman.rollout.fleet import Session
from relman.rollout.steps import Stale
from relman.rollout.work import Work


def settle(work: Work) -> RelmanError:
    """Put back what the plan says, unless a task stands in the way, and say how it ended."""
    everything = (work.cancelled or work.plan.on_failure is OnFailure.ROLLBACK) and not work.unsafe
    if everything and not work.cancelled:
        _gently(work)
    else:
        go_back(work, work.begun if everything else work.failures.keys() & work.begun - _standing(work))
    return _verdict(work)


def _standing(work: Work) -> set[str]:
    """Hosts that serve the new release although something that came after them failed."""
    return set(work.changed) if work.unsafe else set()


def _gently(work: Work) -> None:
    """The failed hosts first, which serve nothing good; then the others, no more at once than were changed at once."""
    go_back(work, [h for h in work.begun if h not in work.changed])
    for wave in reversed(work.plan.waves):
        go_back(work, [s.host for s in wave.steps if s.host in work.changed])


def go_back(work: Work, hosts: Iterable[str]) -> None:
    """Put the old container back on each of these hosts where something was begun, and note what came of it."""

    def one(session: Session) -> Outcome | None:
        host, lease = session.host.name, session.lease
        if lease is None or lease.lock.intent is None:
            return None
        work.watcher.host(host, "going back")
        if isinstance(work.failures.get(host), Unreachable):
            undo.await_engine(session, work.cancel)
        return undo.undo(session, lease.lock.intent, work.seen[host].record.serving)

    gone_back = work.fleet.each(one, list(hosts))
    for host, outcome in gone_back.answers.items():
        work.changed.pop(host, None)
        work.outcomes[host] = outcome or work.outcomes.get(host) or _untouched(work, host)
    for host, error in gone_back.errors.items():
        work.changed.pop(host, None)
        work.outcomes[host] = Outcome(host, Result.FAILED, f"could not be put back: {error.what}", error.details)


def _untouched(work: Work, host: str) -> Outcome:
    error = work.failures.get(host)
    if isinstance(error, Stale):
        return Outcome(host, Result.STALE, error.what)
    return Outcome(host, Result.UNCHANGED, "was not touched")


def _verdict(work: Work) -> RelmanError:
    results = {o.result for o in work.outcomes.values()}
    details, status = failure_lines(work), f"relman status -e {work.plan.environment} shows every host"
    if Result.NOT_SERVING in results:
        return NotServing(title(work.plan, "at least one host serves nothing"), details=details, hint=status)
    if Result.FAILED in results:
        kind = Interrupted if work.cancelled else MixedFleet
        hint = f"when the host is back: relman recover -e {work.plan.environment}"
        return kind(title(work.plan, "at least one host could not be put back"), details=details, hint=hint)
    if work.unsafe:
        return _halted(work, details)
    if work.cancelled:
        return Cancelled(title(work.plan, "it was cancelled, and every host runs what it ran before"), details=details)
    if Result.CHANGED in results:
        everywhere = len(work.changed) == len(work.plan.steps)
        text = "it failed when every host ran it already" if everywhere else "the hosts now run different releases"
        return MixedFleet(title(work.plan, text), details=details, hint=status)
    return RolledBack(title(work.plan, "it failed, and every host runs what it ran before"), details=details)


def _halted(work: Work, details: list[str]) -> RelmanError:
    """Nothing goes back by itself over a task whose traces the release before may not be able to live with."""
    tasks = ", ".join(work.unsafe)
    return MixedFleet(
        title(work.plan, f"it {'was cancelled' if work.cancelled else 'failed'} after its task {tasks}"),
        details=details,
        hint=f"{tasks} is not marked rollback_safe, so the changed hosts were not put back over it; mend it and deploy "
        f"again, or decide yourself: relman rollback -e {work.plan.environment}",
    )


def title(plan: Plan, text: str) -> str:
    """`text` about this plan."""
    return f"the {plan.kind} of {plan.service} {plan.release} to {plan.environment}: {text}"


def failure_lines(work: Work) -> list[str]:
    """What went wrong, host by host and each thing once, and what became of the hosts."""
    lines: dict[str, None] = {}
    told: set[int] = set()
    for host, error in work.failures.items():
        if not isinstance(error, Cancelled) and id(error) not in told:
            told.add(id(error))
            lines |= dict.fromkeys([f"{error.host or host}: {error.what}", *(f"  {d}" for d in error.details)])
    outcomes = [f"{o.host}: {o.detail}" for o in work.outcomes.values() if o.result is not Result.CHANGED]
    return [*lines, *outcomes]
