"""Carry out a plan whose images are there: tasks, then wave after wave; go back where the plan says so; record."""

from __future__ import annotations

from relman.model.errors import Interrupted, MixedFleet, RelmanError
from relman.model.plan import Outcome, Result
from relman.model.strategy import When
from relman.rollout import local, tasks
from relman.rollout.fleet import Session
from relman.rollout.prune import note_left_out, record_and_prune
from relman.rollout.settle import settle, title
from relman.rollout.waves import do_waves
from relman.rollout.work import NO_HOST, Report, Work


def carry_out(work: Work) -> Report:
    """Do hooks, tasks and waves, then record, or go back. A lease with an intent left marks a host left in the middle.

    Only what fails before the first container changes is nobody's failure but the report's own.
    """
    try:
        local.run_hooks(work.plan, When.BEFORE, work.watcher, work.cancel)
        tasks.run(work, When.BEFORE)
    except RelmanError as refused:
        return _report(work, refused)
    do_waves(work)
    if work.whole:
        _after(work)
    error = None if work.whole else settle(work)
    if error is None or isinstance(error, MixedFleet):
        unwritten = _record(work)
        error = error or unwritten
    _tell(work, error)
    return _report(work, error)


def _after(work: Work) -> None:
    """The tasks that come last. What fails here is no host's failure: each of them serves the new release."""
    try:
        tasks.run(work, When.AFTER)
    except RelmanError as error:
        work.failures[NO_HOST] = error


def _tell(work: Work, error: RelmanError | None) -> None:
    """The hooks after the end, good or bad: what they come to changes nothing any more."""
    try:
        local.run_hooks(work.plan, When.FAILED if error else When.AFTER, work.watcher, None)
    except RelmanError as failed:
        work.watcher.say(f"{failed.what}; the hosts are as the report says")


def _report(work: Work, error: RelmanError | None) -> Report:
    for host in work.plan.unchanged:
        work.outcomes[host] = Outcome(host, Result.UNCHANGED, work.plan.release)
    for step in work.plan.steps:
        work.outcomes.setdefault(step.host, Outcome(step.host, Result.NOT_REACHED, "its turn never came"))
    return Report(work.plan, tuple(work.outcomes[h] for h in work.plan.hosts), error)


def _record(work: Work) -> RelmanError | None:
    """Write what serves now, proven good when the whole plan came to its end, then drop what nobody needs any more.

    The error is for hosts whose record could not be written: they stay interrupted, with the intent in their lock.
    """
    by_host = {s.host: s for s in work.plan.steps}

    def one(session: Session) -> tuple[str, ...]:
        host = session.host.name
        return record_and_prune(
            session, work.plan, by_host[host], work.changed[host], work.seen[host], proven=work.whole
        )

    written = work.fleet.each(one, list(work.changed))
    for host, notes in written.answers.items():
        for note in notes:
            work.watcher.say(f"{host}: {note}")
    note_left_out(work.fleet, work.plan, work.seen, work.watcher)
    for host, error in written.errors.items():
        work.outcomes[host] = Outcome(
            host, Result.FAILED, f"runs it, but its record could not be written: {error.what}"
        )
    if not written.errors:
        return None
    return Interrupted(
        title(work.plan, "every host runs it, but not every host could write that down"),
        details=[f"{host}: {error.what}" for host, error in written.errors.items()],
        hint=f"mend the cause, then: relman recover -e {work.plan.environment}",
    )
