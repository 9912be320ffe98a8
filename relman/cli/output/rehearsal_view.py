"""Show what the rehearsal of a rollback found, and convert it to JSON."""

from __future__ import annotations

from relman.app.documents.rehearsal import rehearsal_document
from relman.cli.output.printer import Output
from relman.model.formats.text import hosts_by, some
from relman.rollout.rehearsal.rehearse import RehearsalReport, RehearsalResult, Rehearsed


def show_rehearsal(output: Output, report: RehearsalReport) -> None:
    """One line for each host, what was not started, and how many are ready unless it failed."""
    output.json("rehearsal", rehearsal_document(report))
    plan = report.plan
    output.heading(f"rehearsal {plan.id}: rollback of {plan.service} to {plan.release} in {plan.environment}")
    rows = [(host.host, str(host.result), _detail(host)) for host in report.hosts]
    output.table(("HOST", "RESULT", "DETAIL"), rows, ("DETAIL",))
    found = hosts_by(
        (host.host, f"{name or 'it'} would run twice ({why})")
        for host in report.hosts
        for name, why in host.alone.items()
    )
    for what, hosts in found.items():
        output.line(f"not rehearsed on {some(hosts)}: {what}")
    if report.error is None:
        output.line(report.counted)


def _detail(host: Rehearsed) -> str:
    if host.result is not RehearsalResult.READY or host.boot is None or host.unasked:
        return host.detail
    return (
        f"{host.detail} {host.boot:.2f} s after its start" if host.detail == "healthy" else f"{host.detail}, unverified"
    )
