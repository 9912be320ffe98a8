"""What deploy, rollback and recover share: the plan on the screen, the work shielded from Ctrl-C, the recap."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from relman.cli import plans
from relman.cli.compose import record_deployment, timestamp, who
from relman.cli.environments import unknown_service
from relman.cli.render import HostProgress, Output
from relman.cli.text import size
from relman.cli.verb import Context
from relman.hosts.state_dir.record import services
from relman.ledger.entries import HostOutcome
from relman.model.errors import Failure, Interrupted
from relman.model.host import Environment
from relman.model.journal import DONE
from relman.model.plan import Plan, Result
from relman.rollout import recover
from relman.rollout.ending import in_a_word
from relman.rollout.fleet import Fleet
from relman.rollout.operation import Operation, look, preview, run
from relman.rollout.planning.planner import Asked
from relman.rollout.progress import Report

_PULL_STEP = 0.25
_PULL_SMALL = 1e6  # bytes: what comes before the large layers are known
_LAST_PHASE = "done"


class Screen:
    """Tells the terminal what the fleet does; a pull is told in quarters."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: HostProgress | None = None
        self._told: dict[str, str] = {}
        self._share: dict[str, float] = {}

    @contextmanager
    def showing(self, hosts: Sequence[str]) -> Iterator[None]:
        """Show progress while the block runs."""
        with self._output.progress(hosts) as self._progress:
            yield
        self._progress = None

    def host(self, host: str, phase: str, done: int = 0, total: int = 0) -> None:
        """`host` is now in `phase`."""
        if total:
            share = int(done / total / _PULL_STEP) * _PULL_STEP
            # It shrinks when the engine finds out about one more layer.
            if total < _PULL_SMALL or not self._share.get(host, 0) < share < 1:
                return
            self._share[host] = share
            phase = f"{phase} {share:.0%} of {size(total)}"
        if self._progress and self._told.get(host) != phase:
            self._told[host] = phase
            if phase == _LAST_PHASE:
                self._progress.finish(host, phase, ok=True)
            else:
                self._progress.update(host, phase)

    def say(self, text: str) -> None:
        """Something about the whole fleet."""
        self._output.note(text)


def new_asked(
    service: str,
    environment: Environment,
    max_unavailable: str | None = None,
    left_out: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> Asked:
    """A new deployment by this person, now. Its id sorts by time."""
    return Asked(
        id=time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3),
        at=timestamp(),
        by=who(),
        service=service,
        environment=environment.name,
        several=bool(environment.services.keys() - {service}),
        max_unavailable=max_unavailable,
        left_out=left_out or {},
        reason=reason or "",
    )


def require_all(fleet: Fleet) -> None:
    """Raise unless every host is connected, and say how a person goes on without one."""
    try:
        fleet.require_all()
    except Failure as error:
        first = error.hint.rstrip(".")
        stop = "" if not first else " " if first.endswith("?") else ". "
        error.hint = f"{first}{stop}To continue without a host: --exclude HOST --reason WHY"
        raise


def require_known(fleet: Fleet, asked: Asked) -> None:
    """Raise UsageError, with the names that are known, unless the inventory or a host knows the service: whoever goes
    on takes locks, and so makes a directory for it."""
    if asked.service in fleet.environment.services:
        return
    if not any(o.record.entries or o.lock or o.containers or o.tasks for o in look(fleet, asked)):
        found = fleet.each(lambda session: services(session.connection, asked.environment)).answers
        raise unknown_service(
            fleet.environment, asked.service, {name for names in found.values() for name in names} - {asked.service}
        )


def shielded(work: Callable[[threading.Event], Report]) -> Report:
    """Run `work` where no signal interrupts it; the first Ctrl-C (or its like) sets the event that work looks at."""
    cancel = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="operation") as pool:
        future = pool.submit(work, cancel)
        try:
            return future.result()
        except KeyboardInterrupt:
            cancel.set()
            return future.result()


def carry_out(
    context: Context,
    fleet: Fleet,
    make: Callable[[threading.Event, Screen, Callable[[Plan], None]], Operation],
    *,
    plan_only: bool,
    yes: bool,
    note: str = "",
) -> None:
    """Show the plan; unless only that was wanted, do it, recap it, note it in the history, and raise how it ended."""
    screen = Screen(context.output)
    agreed: Plan | None = None
    if plan_only or not yes:
        agreed = preview(fleet, make(threading.Event(), screen, lambda _: None))
        plans.show_plan(context.output, agreed)
        if plan_only:
            return
        if agreed.steps and not context.output.confirm(f"{plans.in_words(agreed)}?"):
            context.output.note("nothing was changed")
            return

    def planned(plan: Plan) -> None:
        if agreed is None:
            plans.show_plan(context.output, plan)

    started = timestamp()
    with screen.showing([h.name for h in fleet.environment.hosts]):
        report = shielded(lambda cancel: _resolved(fleet, make(cancel, screen, planned), agreed, screen))
    finish(context, report, started, note)


def _resolved(fleet: Fleet, operation: Operation, agreed: Plan | None, screen: Screen) -> Report:
    """Run it; where an earlier deployment was interrupted, start what serves nothing before saying so."""
    try:
        return run(fleet, operation, agreed)
    except Interrupted:
        recover.heal_gaps(fleet, operation.asked, screen)
        raise


def finish(context: Context, report: Report, started: str, note: str = "") -> None:
    """Recap a report, note it in the history, and raise how it ended; `started` is RFC 3339."""
    plans.recap(context.output, report)
    if report.error or any(o.result is not Result.UNCHANGED for o in report.outcomes):
        _note(context, report, started, note)
    if report.error:
        raise report.error


def _note(context: Context, report: Report, started: str, reason: str) -> None:
    plan = report.plan
    first = next(iter(plan.steps), None)
    record_deployment(
        context,
        id=plan.id,
        kind=DONE[plan.kind],
        service=plan.service,
        environment=plan.environment,
        release=plan.release,
        digest=str(first.entry.manifest) if first else "",
        by=who(),
        started=started,
        finished=timestamp(),
        outcome=in_a_word(report.error),
        hosts=[HostOutcome(o.host, str(o.result), o.detail, report.told.get(o.host)) for o in report.outcomes],
        reason=reason,
    )
