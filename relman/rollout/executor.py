"""Carry out a plan whose images are on the hosts (steps 8 to 12 of relman/rollout/operation.py)."""

from __future__ import annotations

from dataclasses import replace

from relman.model.errors import Cancelled, CheckFailed, Interrupted, NotServing, RelmanError, RolledBack, Unreachable
from relman.model.plan import Outcome, Result
from relman.model.strategy import When
from relman.rollout import local_commands, tasks
from relman.rollout.after_failure import settle
from relman.rollout.conclusion import NO_HOST, Happened, conclude, failed
from relman.rollout.fleet import Session
from relman.rollout.progress import Work
from relman.rollout.proxy.counting import counting, proxied
from relman.rollout.prune import note_hosts, record_and_prune
from relman.rollout.secrets import hide_kept
from relman.rollout.waves import do_waves

_NOTHING_TO_RECORD = (Cancelled, CheckFailed, Interrupted, NotServing, RolledBack)


def carry_out(work: Work) -> Happened:
    """Run hooks, tasks and waves, then record the result or roll back.

    An interrupted host keeps its intent in its lock.
    """
    # Step 8: hooks and tasks before the first change.
    if not _before(work):
        return work.journal.close(_happened(work, begun=False))
    with counting(work.fleet, proxied(work.plan.steps)) as work.counting:
        # Step 9: the waves.
        do_waves(work)
        # Step 10: tasks after the last change; after a failure, roll back.
        if work.whole:
            _after(work)
        if not work.whole:
            settle(work)
        work.users = work.counting.read()
    if not work.whole:
        hide_kept(work.journal, [(s.host, (s.entry, s.before)) for s in work.plan.steps if _may_tell(work, s.host)])
    # Step 11: records.
    if not isinstance(conclude(_happened(work)), _NOTHING_TO_RECORD):
        _record(work)
    # Step 12: journals, then the hooks after the end.
    happened = work.journal.close(_happened(work))
    _tell(work, conclude(happened))
    return happened


def _may_tell(work: Work, host: str) -> bool:
    """Whether something of the host's containers may be told."""
    return host in work.begun and not isinstance(work.failures.get(host), Unreachable)


def _before(work: Work) -> bool:
    """Run what comes before the first host changes; returns whether all of it succeeded."""
    try:
        local_commands.run_hooks(work.plan, When.BEFORE, work.watcher, work.cancel)
    except RelmanError as refused:
        work.failures[NO_HOST] = refused
        return False
    return tasks.run(work, When.BEFORE)


def _after(work: Work) -> None:
    """Run the tasks after the last change. Their failure is no host's failure: every host serves the new release."""
    serving = dict(work.outcomes)
    if not tasks.run(work, When.AFTER):
        work.failures = {NO_HOST: next(iter(work.failures.values()))}
        work.outcomes.update(serving)


def _tell(work: Work, error: RelmanError | None) -> None:
    """Run the hooks after the end. Their failure changes nothing."""
    try:
        local_commands.run_hooks(work.plan, When.FAILED if error else When.AFTER, work.watcher, None)
    except RelmanError as failure:
        work.watcher.say(f"{failure.what}; the hosts are as the report says")


def _happened(work: Work, *, begun: bool = True) -> Happened:
    outcomes = dict(work.outcomes)
    for host in work.plan.unchanged:
        outcomes[host] = Outcome(host, Result.UNCHANGED, work.plan.release)
    for step in work.plan.steps:
        outcomes.setdefault(step.host, Outcome(step.host, Result.NOT_REACHED, "not started"))
    return Happened(
        plan=work.plan,
        outcomes=tuple(outcomes[h] for h in work.plan.hosts),
        failures=dict(work.failures),
        cancelled=work.cancelled,
        begun=begun,
        tasks=tuple(work.tasks),
        unsafe=tuple(work.unsafe),
        users=work.users,
    )


def _record(work: Work) -> None:
    """Write the records, proven if the whole plan succeeded, and prune what is no longer needed.

    A host whose record cannot be written stays interrupted, with the intent in its lock.
    """
    by_host = {s.host: s for s in work.plan.steps}
    beside = work.journal.beside(_happened(work))

    def one(session: Session) -> tuple[str, ...]:
        host = session.host.name
        if host not in work.changed:
            beside[host]()
            return ()
        step, change, seen = by_host[host], work.changed[host], work.seen[host]
        return record_and_prune(session, work.plan, step, change, seen, proven=work.whole, beside=[beside[host]])

    written = work.fleet.each(one, beside)
    for host, notes in written.answers.items():
        for note in notes:
            work.watcher.say(f"{host}: {note}")
    note_hosts(work.fleet, work.plan, work.seen, work.watcher)
    for host, error in written.errors.items():
        outcome = failed(host, error, f"{work.plan.release} runs there, but its record could not be written")
        interrupted = outcome.result is Result.FAILED
        work.outcomes[host] = replace(outcome, result=Result.INTERRUPTED) if interrupted else outcome
