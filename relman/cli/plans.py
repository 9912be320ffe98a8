"""Plans and reports as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman.cli.render import Output
from relman.model.plan import Action, Kind, Outcome, Plan, Result, Step
from relman.rollout.executor import Report


def in_words(plan: Plan) -> str:
    """What a plan does, in one line."""
    return f"{plan.kind} {plan.service} {plan.release} on {_counted(len(plan.steps))} of {plan.environment}"


def _counted(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def show_plan(output: Output, plan: Plan) -> None:
    """The plan: who changes when, from what to what, in which order and why."""
    output.json("plan", plan_data(plan))
    if not plan.steps:
        output.line(f"nothing to do: {plan.service} {plan.release} serves on {', '.join(plan.unchanged)}")
        return
    output.heading(f"plan {plan.id}: {in_words(plan)}")
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
    """One line a host, and one about them all unless it failed."""
    output.json("report", report_data(report))
    changed = [o for o in report.outcomes if o.result is not Result.UNCHANGED]
    if not changed and not report.error:
        if report.plan.kind is Kind.RECOVER:
            place = f"{report.plan.service} in {report.plan.environment}"
            output.line(f"nothing to recover: no deployment of {place} was interrupted")
        return
    steps = {s.host: s for s in report.plan.steps}
    rows = [(o.host, str(o.result), _detail(o, steps.get(o.host))) for o in report.outcomes]
    output.table(("HOST", "RESULT", "DETAIL"), rows)
    if report.error is None:
        output.line(_success(report.plan, len(report.outcomes)))


def report_data(report: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "plan": report.plan.id,
        "release": report.plan.release,
        "hosts": [
            {"host": o.host, "result": str(o.result), "detail": o.detail, "gap": o.gap, "boot": o.boot}
            for o in report.outcomes
        ],
    }


def _success(plan: Plan, hosts: int) -> str:
    if plan.kind is Kind.RECOVER:
        return f"done: {plan.service} in {plan.environment} is whole again"
    return f"done: {plan.service} {plan.release} serves on {_counted(hosts)} of {plan.environment}"


def _detail(outcome: Outcome, step: Step | None) -> str:
    if outcome.result is not Result.CHANGED or outcome.boot is None or step is None:
        return outcome.detail
    if outcome.gap is not None:
        health = f"healthy {outcome.boot:.2f} s later" if step.entry.verified else "unverified"
        return f"{outcome.detail}: started {outcome.gap:.2f} s after the old one's stop, {health}"
    health = f"healthy {outcome.boot:.2f} s after its start" if step.entry.verified else "runs, unverified"
    return f"{outcome.detail}: {health}" + (", no gap" if step.action is Action.REPLACE else "")
