"""What deploy, rollback and recover share: the plan on the screen, the work shielded from Ctrl-C, the recap."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from relman.cli.compose import environment, ledger, timestamp, who
from relman.cli.render import HostProgress, Output
from relman.cli.text import size
from relman.cli.verb import Context
from relman.model.errors import Cancelled, Interrupted, MixedFleet, NotServing, RelmanError, RolledBack, UsageError
from relman.model.host import Environment
from relman.model.plan import Action, Outcome, Plan, Result, Step
from relman.rollout import recover
from relman.rollout.executor import Report
from relman.rollout.fleet import Fleet
from relman.rollout.operation import Operation, preview, run
from relman.rollout.planner import Asked

_PULL_STEP = 0.25


class Screen:
    """Tells the terminal what the fleet does; a pull is told in quarters where nothing can be redrawn."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: HostProgress | None = None
        self._told: dict[str, str] = {}

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
            phase = f"{phase} {share:.0%} of {size(total)}"
        if self._progress and self._told.get(host) != phase:
            self._told[host] = phase
            self._progress.update(host, phase)

    def say(self, text: str) -> None:
        """Something about the whole fleet."""
        self._output.note(text)


def new_asked(service: str, environment: str, max_unavailable: str | None = None) -> Asked:
    """A new deployment by this person, now. Its id sorts by time."""
    return Asked(
        id=time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3),
        at=timestamp(),
        by=who(),
        service=service,
        environment=environment,
        max_unavailable=max_unavailable,
    )


def without(chosen: Environment, excluded: Sequence[str], reason: str | None) -> Environment:
    """The environment less the hosts that a person leaves out, for a reason. Raises UsageError."""
    names = [h.name for h in chosen.hosts]
    for host in excluded:
        if host not in names:
            raise UsageError(f"{chosen.name} has no host {host!r}", hint=f"its hosts are {', '.join(names)}")
    if excluded and not reason:
        raise UsageError("--exclude wants --reason", hint="say why, for whoever looks at the history")
    if set(excluded) == set(names):
        raise UsageError(f"every host of {chosen.name} is excluded")
    return replace(chosen, hosts=tuple(h for h in chosen.hosts if h.name not in excluded))


def service_of(chosen: Environment, wanted: str | None) -> str:
    """The service that is meant: the one asked for, or the environment's only one. Raises UsageError."""
    known = sorted(chosen.services)
    if wanted:
        return wanted
    if len(known) == 1:
        return known[0]
    hint = f"it knows {', '.join(known)}" if known else "set relman_services in the inventory, or pass --service"
    raise UsageError(f"which service of {chosen.name}? say --service", hint=hint)


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
        show_plan(context.output, agreed)
        if plan_only:
            return
        if agreed.steps and not context.output.confirm(f"{_verb(agreed)}?"):
            context.output.note("nothing was changed")
            return

    def planned(plan: Plan) -> None:
        if agreed is None:
            show_plan(context.output, plan)

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
    recap(context.output, report)
    _note(context, report, started, note)
    if report.error:
        raise report.error
    context.output.note("done")


def _note(context: Context, report: Report, started: str, reason: str) -> None:
    plan = report.plan
    first = next(iter(plan.steps), None)
    ledger(context).record_deployment(
        id=plan.id,
        kind=_DONE[plan.kind],
        service=plan.service,
        environment=plan.environment,
        release=plan.release,
        digest=str(first.entry.manifest) if first else "",
        by=who(),
        started=started,
        finished=timestamp(),
        outcome=_outcome(report.error),
        hosts=[(o.host, str(o.result), o.detail) for o in report.outcomes],
        reason=reason,
    )


_DONE: Mapping[str, str] = {"deploy": "deployed", "rollback": "rolled back", "recover": "recovered"}


def _outcome(error: RelmanError | None) -> str:
    return "done" if error is None else _WORDS.get(type(error), "failed")


_WORDS: Mapping[type[RelmanError], str] = {
    Cancelled: "cancelled",
    Interrupted: "interrupted",
    MixedFleet: "mixed fleet",
    NotServing: "not serving",
    RolledBack: "failed, went back",
}


def open_environment(
    context: Context, name: str, inventories: Sequence[str], excluded: Sequence[str], reason: str | None
) -> Environment:
    """The environment from the inventory, less what is left out."""
    chosen = without(environment(context, name, inventories), excluded, reason)
    if excluded:
        context.output.warn(f"left out: {', '.join(excluded)} ({reason})")
    return chosen


def _verb(plan: Plan) -> str:
    hosts = f"{len(plan.steps)} host" + ("s" if len(plan.steps) != 1 else "")
    return f"{plan.kind} {plan.service} {plan.release} on {hosts} of {plan.environment}"


def show_plan(output: Output, plan: Plan) -> None:
    """The plan: who changes when, from what to what, in which order and why."""
    output.json("plan", plan_data(plan))
    if not plan.steps:
        output.line(f"nothing to do: {plan.service} {plan.release} serves on {', '.join(plan.unchanged)}")
        return
    output.heading(f"plan {plan.id}: {_verb(plan)}")
    rows = [
        (str(number), step.host, _change(step), step.entry.manifest.short, _order(step))
        for number, wave in enumerate(plan.waves, 1)
        for step in wave
    ]
    output.table(("WAVE", "HOST", "CHANGE", "DIGEST", "ORDER"), rows)
    if plan.unchanged:
        output.line(f"unchanged: {', '.join(plan.unchanged)}")
    output.line(f"if it fails: {_FAILURE[plan.on_failure]}")
    for warning in plan.warnings:
        output.warn(warning)


_FAILURE: Mapping[str, str] = {
    "rollback": "every changed host goes back",
    "halt": "the failed host goes back, and the rest waits for you",
    "continue": "the failed host goes back, and the rest goes on",
}


def _change(step: Step) -> str:
    if step.action is Action.START:
        return f"start {step.entry.release}"
    if step.action is Action.VERIFY:
        return f"verify {step.entry.release}"
    return f"{step.old_release} -> {step.entry.release}"


def _order(step: Step) -> str:
    if step.action is not Action.REPLACE:
        return ""
    return f"{'stop-first' if step.stop_first else 'start-first'}: {step.why}"


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs; no variable's value is in it."""
    return {
        "id": plan.id,
        "action": str(plan.kind),
        "service": plan.service,
        "environment": plan.environment,
        "release": plan.release,
        "waves": [
            [
                {
                    "host": s.host,
                    "action": str(s.action),
                    "from": s.old_release,
                    "to": s.entry.release,
                    "digest": str(s.entry.manifest),
                    "order": "stop-first" if s.stop_first else "start-first",
                    "why": s.why,
                }
                for s in wave
            ]
            for wave in plan.waves
        ],
        "unchanged": list(plan.unchanged),
        "warnings": list(plan.warnings),
        "on_failure": str(plan.on_failure),
    }


def recap(output: Output, report: Report) -> None:
    """One line a host, with the evidence of every failing one."""
    if not report.plan.steps and report.plan.kind != "recover":
        return
    output.json(
        "report",
        {
            "plan": report.plan.id,
            "release": report.plan.release,
            "hosts": [
                {"host": o.host, "result": str(o.result), "detail": o.detail, "gap": o.gap, "boot": o.boot}
                for o in report.outcomes
            ],
        },
    )
    output.table(("HOST", "RESULT", "DETAIL"), [(o.host, str(o.result), _detail(o)) for o in report.outcomes])


def _detail(outcome: Outcome) -> str:
    if outcome.result is not Result.CHANGED or outcome.boot is None:
        return outcome.detail
    boot = f"healthy {outcome.boot:.2f} s after its start"
    gap = f", nothing served for {outcome.gap:.2f} s before it" if outcome.gap is not None else ", no gap"
    return f"{outcome.detail}: {boot}{gap}"
