"""Show plans and reports, and convert them to JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from relman.app.documents.plan import plan_document, report_document
from relman.cli.output.printer import Output
from relman.model.container import Copy
from relman.model.formats.text import hosts_by, some
from relman.model.plan import Action, Kind, Outcome, Plan, Result, Step, Wave
from relman.model.settings_diff import Changed
from relman.rollout.local_commands import in_words as in_words_of
from relman.rollout.progress import Report


def in_words(plan: Plan) -> str:
    """The plan in one line."""
    over = f", back over {', '.join(plan.crosses)}" if plan.crosses else ""
    hosts = _counted(len(plan.steps))
    return f"{plan.kind} {plan.service} {plan.release} on {hosts} of {plan.environment}{over}"


def _counted(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def show_plan(output: Output, plan: Plan) -> None:
    """Show the plan: hosts by wave, the change, the order and its reason, and everything else that will be done."""
    output.json("plan", plan_document(plan))
    if not plan.steps:
        output.line(f"nothing to do: {plan.service} {plan.release} runs on {', '.join(plan.unchanged)}")
        return
    output.heading(f"plan {plan.id}: {in_words(plan)}")
    rows = [_cells(number, step) for number, wave in enumerate(plan.waves, 1) for step in wave.steps]
    output.table(("WAVE", "HOST", "CHANGE", "DIGEST", "ORDER", "ROLLBACK TO"), rows, ("DIGEST", "ORDER", "ROLLBACK TO"))
    for line in _beside(plan):
        output.line(line)
    for warning in plan.warnings:
        output.warn(warning)


def _cells(number: int, step: Step) -> tuple[str, ...]:
    new, old = step.entry.manifest.short, step.before.manifest.short if step.before else ""
    digest = f"{old} -> {new}" if old not in ("", new) else new
    back = step.restores.release if step.restores else "none"
    return (str(number), step.host, _change(step), digest, _order(step), back)


def _beside(plan: Plan) -> Iterator[str]:
    """The lines below the table."""
    yield from _processes(plan)
    yield from settings_that_change((step.host, step.changes) for step in plan.steps)
    yield from (f"hook {h.when}, on this machine: {shlex.join(h.command)}" for h in plan.hooks)
    for run in plan.tasks:
        safe = "" if run.task.rollback_safe else "; not marked rollback_safe: no automatic rollback goes past it"
        yield f"task {run.task.name} {run.task.when}, on {run.host}: {shlex.join(run.task.command)}{safe}"
    yield from (f"wave {n}: {text}" for n, wave in enumerate(plan.waves, 1) if (text := _gate(wave)))
    yield from also_on(plan.service, plan.copies)
    yield from _new_volumes(plan)
    yield from _adopted(plan)
    if plan.unchanged:
        yield f"unchanged: {', '.join(plan.unchanged)}"
    for absence in plan.left_out:
        yield f"left out: {absence.host} ({absence.reason})"
    if plan.by_default and len(plan.steps) > 1:
        yield f"max_unavailable: {plan.max_unavailable} by default, because {plan.by_default}"
    tolerated = f" ({plan.max_failures} failed hosts are tolerated)" if plan.max_failures else ""
    yield f"if it fails: {_FAILURE[plan.on_failure]}{tolerated}"


def also_on(service: str, copies: Iterable[tuple[str, Copy]]) -> Iterator[str]:
    """What other environments run of a service, with the hosts."""
    found = hosts_by((host, f"{service} {copy.release} of {copy.environment}") for host, copy in copies)
    yield from (f"also on {', '.join(names)}: {what}" for what, names in found.items())


def _new_volumes(plan: Plan) -> Iterator[str]:
    found = hosts_by(plan.new_volumes)
    yield from (f"new volume on {some(names)}: {volume}, empty" for volume, names in found.items())


def _adopted(plan: Plan) -> Iterator[str]:
    found = hosts_by((step.host, step.adopts) for step in plan.steps if step.adopts)
    yield from (f"adopted on {some(on)}: {', '.join(names)}, stopped and kept" for names, on in found.items())


def _processes(plan: Plan) -> Iterator[str]:
    """What each host runs of a release of several processes, once for all hosts that run the same."""
    processes = ((step.host, step.entry.settings.processes) for step in plan.steps)
    found = hosts_by((host, ", ".join(f"{p.name} {p.replicas}" for p in each)) for host, each in processes if each)
    yield from (f"processes on {some(names)}: {text}" for text, names in found.items())


def settings_that_change(found: Iterable[tuple[str, tuple[Changed, ...]]]) -> Iterator[str]:
    """The settings that change on each host, once for all hosts with the same changes."""
    for changes, names in hosts_by(found).items():
        if changes:
            yield f"settings that change on {some(names)}:"
            yield from (f"  {_changed(each)}" for each in changes)


def _changed(change: Changed) -> str:
    if not change.old:
        return f"+ {change.key}: {change.new}"
    if not change.new:
        return f"- {change.key}: {change.old}"
    return f"~ {change.key}: {change.old if change.old == change.new else f'{change.old} -> {change.new}'}"


def _gate(wave: Wave) -> str:
    """The conditions for the next wave."""
    parts = [
        *(["the canary"] if wave.canary else []),
        *(["new containers on all its hosts", "then one switch"] if wave.both else []),
        *([f"watched for {wave.bake:g} s{' while the old ones still run' if wave.both else ''}"] if wave.bake else []),
        *(f"then checked: {in_words_of(check)}" for check in wave.checks),
        *([f"then {wave.pause:g} s pause"] if wave.pause else []),
    ]
    return ", ".join(parts)


_FAILURE: Mapping[str, str] = {
    "rollback": "every changed host rolls back",
    "halt": "the failed host rolls back, and the rest waits for you",
    "continue": "the failed host rolls back, and the rest continues",
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
    if not step.turns:
        return f"start-first: {step.why}"
    if not any(step.stop_first):
        return f"stop-first: {step.why}"
    stopping = "; ".join(f"{', '.join(filter(None, t.processes))} stop-first: {t.why}" for t in step.turns)
    beside = [p.name for p in step.entry.settings.parts if p.name not in step.stop_first]
    return stopping + (f"; {', '.join(beside)} start-first" if beside else "")


def recap(output: Output, report: Report) -> None:
    """Show one line for each host, and a last one unless it failed."""
    output.json("report", report_document(report))
    changed = [o for o in report.outcomes if o.result is not Result.UNCHANGED]
    if not changed and not report.error:
        if report.plan.kind is Kind.RECOVER:
            place = f"{report.plan.service} in {report.plan.environment}"
            output.line(f"nothing to recover: no deployment of {place} was interrupted")
        return
    steps = {s.host: s for s in report.plan.steps}
    rows = [(o.host, str(o.result), _detail(o, steps.get(o.host))) for o in report.outcomes]
    output.table(("HOST", "RESULT", "DETAIL"), rows, ("DETAIL",))
    if report.users:
        output.line(f"while it changed: {report.users.text}")
    if report.error is None:
        output.line(_success(report))


def _success(report: Report) -> str:
    plan, place = report.plan, f"{report.plan.service} in {report.plan.environment}"
    if plan.kind is Kind.RECOVER:
        return f"done: {place} is consistent again"
    if plan.kind is Kind.REMOVE:
        removed = sum(o.result is Result.REMOVED for o in report.outcomes)
        return f"done: {plan.service} was removed from {_counted(removed)} of {plan.environment}"
    return f"done: {plan.service} {plan.release} serves on {_counted(len(report.outcomes))} of {plan.environment}"


def _detail(outcome: Outcome, step: Step | None) -> str:
    if outcome.result is not Result.CHANGED or outcome.boot is None or step is None:
        return outcome.detail
    unasked = "runs, its health was not checked" if outcome.unasked else ""
    if outcome.gap:
        health = unasked or (f"healthy {outcome.boot:.2f} s later" if step.entry.verified else "unverified")
        which = f"{outcome.gap_of} " if outcome.gap_of else ""
        return f"{outcome.detail}: {which}down for {outcome.gap:.2f} s, {health}"
    health = unasked or (f"healthy {outcome.boot:.2f} s after its start" if step.entry.verified else "runs, unverified")
    return f"{outcome.detail}: {health}" + (", no gap" if step.action is Action.REPLACE else "")
