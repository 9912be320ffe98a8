"""What a deployment will do, and what came of it."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from relman.model.plan import Plan, Step, Wave
from relman.model.proxy import Users
from relman.rollout.local_commands import in_words
from relman.rollout.progress import Report


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for JSON; without the values of variables."""
    return {
        "id": plan.id,
        "action": str(plan.kind),
        "service": plan.service,
        "environment": plan.environment,
        "release": plan.release,
        "strategy": str(plan.strategy),
        "max_unavailable": plan.max_unavailable,
        "max_unavailable_by_default": plan.by_default,
        "waves": [_wave_data(wave) for wave in plan.waves],
        "tasks": [
            {"host": r.host, "name": r.task.name, "when": str(r.task.when), "rollback_safe": r.task.rollback_safe}
            for r in plan.tasks
        ],
        "hooks": [{"when": str(h.when), "command": list(h.command)} for h in plan.hooks],
        "unchanged": list(plan.unchanged),
        "left_out": [asdict(absence) for absence in plan.left_out],
        "crosses": list(plan.crosses),
        "copies": [{"host": host, **asdict(copy)} for host, copy in plan.copies],
        "new_volumes": [{"host": host, "name": name} for host, name in plan.new_volumes],
        "warnings": list(plan.warnings),
        "on_failure": str(plan.on_failure),
        "max_failures": plan.max_failures,
    }


def _wave_data(wave: Wave) -> dict[str, Any]:
    return {
        "canary": wave.canary,
        "both": wave.both,
        "bake": wave.bake,
        "checks": [in_words(check) for check in wave.checks],
        "pause": wave.pause,
        "steps": [_step_data(step) for step in wave.steps],
    }


def _step_data(step: Step) -> dict[str, Any]:
    return {
        "host": step.host,
        "action": str(step.action),
        "from": step.old_release,
        "adopts": list(step.adopts),
        "from_digest": str(step.before.manifest) if step.before else "",
        "to": step.entry.release,
        "digest": str(step.entry.manifest),
        "order": "stop-first" if step.stop_first else "start-first",
        "why": step.why,
        "processes": {p.name: p.replicas for p in step.entry.settings.processes},
        "turns": [asdict(turn) for turn in step.turns],
        "settings": [asdict(change) for change in step.changes],
        "rollback_to": step.restores.release if step.restores else "",
        "rollback_digest": str(step.restores.manifest) if step.restores else "",
    }


def report_document(report: Report) -> dict[str, Any]:
    """The report as plain data, for JSON."""
    return {
        "plan": report.plan.id,
        "release": report.plan.release,
        "hosts": [
            {
                "host": o.host,
                "result": str(o.result),
                "detail": o.detail,
                "gap": o.gap,
                "gap_of": o.gap_of,
                "boot": o.boot,
                "unasked": o.unasked,
            }
            for o in report.outcomes
        ],
        "users": _users_data(report.users) if report.users else None,
    }


def _users_data(users: Users) -> dict[str, Any]:
    traffic, p99 = users.traffic, users.traffic.p99
    return {
        "requests": traffic.requests,
        "failed": traffic.failed,
        "p99_below": p99 if p99 and math.isfinite(p99) else None,
        "uncounted": list(users.uncounted),
    }
