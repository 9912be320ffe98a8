"""What deployments, rollbacks, recoveries and removals share: the selected hosts and service, shielding from Ctrl-C,
and the line in the local history."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from relman.app.context import Context
from relman.app.environments import Request, Selected, service_of, unknown_service
from relman.app.factories import record_deployment
from relman.app.identity import who
from relman.hosts.state_dir.record import services
from relman.ledger.entries import HostOutcome
from relman.model.errors import Failure, Interrupted
from relman.model.formats.clock import timestamp
from relman.model.plan import Plan, Result
from relman.model.state_dir.journal import DONE
from relman.rollout import recover
from relman.rollout.conclusion import in_a_word
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.operation import Operation, look, preview, run
from relman.rollout.planning.planner import Asked
from relman.rollout.progress import Report

T = TypeVar("T")


def chosen_of(context: Context, request: Request) -> tuple[Selected, Asked]:
    """The selected hosts, and a new deployment of the selected service."""
    selected = request.selected(context)
    return selected, new_asked(context, request, service_of(selected.environment, request.service), selected)


@dataclass(frozen=True)
class Rollout:
    """A deployment or rollback whose hosts are connected; nothing changes until it is carried out."""

    context: Context
    fleet: Fleet
    operation: Operation

    def preview(self) -> Plan:
        """What it would do now. Raises what prevents it."""
        return preview(self.fleet, self.operation)

    def carry_out(
        self, watcher: Watcher, agreed: Plan | None = None, planned: Callable[[Plan], None] = lambda _: None
    ) -> Report:
        """Carry it out, and record it in the history.

        With `agreed`, only if the plan is still that one; `planned` is called with the plan before anything changes. If
        an earlier deployment was interrupted, hosts that serve nothing get their old container back before Interrupted
        is raised. Raises RelmanError if nothing was changed; otherwise the report contains the error.
        """
        started = timestamp()
        report = shielded(lambda cancel: self._run(cancel, watcher, agreed, planned))
        record(self.context, report, started, self.operation.asked.reason)
        return report

    def _run(
        self, cancel: threading.Event, watcher: Watcher, agreed: Plan | None, planned: Callable[[Plan], None]
    ) -> Report:
        operation = replace(self.operation, watcher=watcher, cancel=cancel, planned=planned)
        try:
            return run(self.fleet, operation, agreed)
        except Interrupted:
            recover.heal_gaps(self.fleet, operation.asked, watcher)
            raise


def new_asked(context: Context, request: Request, service: str, selected: Selected) -> Asked:
    """A new deployment by this person, now. Ids sort by time."""
    environment = selected.environment
    return Asked(
        id=time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3),
        at=timestamp(),
        by=who(context.environ),
        service=service,
        environment=environment.name,
        several=bool(environment.services.keys() - {service}),
        max_unavailable=request.max_unavailable,
        left_out=selected.left_out,
        reason=request.reason or "",
        new_volumes=frozenset(request.new_volumes),
        adopt=tuple(request.adopt),
    )


def require_all(fleet: Fleet) -> None:
    """Raise unless every host is connected; the hint says how to continue without one."""
    try:
        fleet.require_all()
    except Failure as error:
        first = error.hint.rstrip(".")
        stop = "" if not first else " " if first.endswith("?") else ". "
        error.hint = f"{first}{stop}To continue without a host: --exclude HOST --reason WHY"
        raise


def require_known(fleet: Fleet, asked: Asked) -> None:
    """Raise UsageError, with the known names, unless the inventory or a host knows the service, because taking locks
    creates a directory for it."""
    if asked.service in fleet.environment.services:
        return
    if not any(o.record.entries or o.lock or o.containers or o.tasks for o in look(fleet, asked)):
        found = fleet.each(lambda session: services(session.connection, asked.environment)).answers
        raise unknown_service(
            fleet.environment, asked.service, {name for names in found.values() for name in names} - {asked.service}
        )


def shielded(work: Callable[[threading.Event], T]) -> T:
    """Run `work` in a thread that no signal interrupts; the first Ctrl-C, SIGTERM or the like sets the event that it
    gets."""
    cancel = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="operation") as pool:
        future = pool.submit(work, cancel)
        try:
            return future.result()
        except KeyboardInterrupt:
            cancel.set()
            return future.result()


def record(context: Context, report: Report, started: str, reason: str = "") -> None:
    """Record a report in the local history, unless nothing changed; `started` is RFC 3339."""
    if report.error is None and all(o.result is Result.UNCHANGED for o in report.outcomes):
        return
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
        by=who(context.environ),
        started=started,
        finished=timestamp(),
        outcome=in_a_word(report.error),
        hosts=[HostOutcome(o.host, str(o.result), o.detail, report.told.get(o.host)) for o in report.outcomes],
        reason=reason,
    )
