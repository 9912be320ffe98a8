"""What the rehearsal of a rollback found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from relman.rollout.rehearsal.rehearse import RehearsalReport, RehearsalResult


def rehearsal_document(report: RehearsalReport) -> dict[str, Any]:
    """The report as plain data, for JSON."""
    plan = report.plan
    return {
        "id": plan.id,
        "service": plan.service,
        "environment": plan.environment,
        "release": plan.release,
        "digest": plan.manifest,
        "ready": len(report.of(RehearsalResult.READY)),
        "hosts": [
            {
                **{key: value for key, value in asdict(host).items() if key not in ("result", "alone", "lines")},
                "result": str(host.result),
                "not_rehearsed": dict(host.alone),
            }
            for host in report.hosts
        ],
    }
