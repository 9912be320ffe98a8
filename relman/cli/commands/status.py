"""relman status: what runs where, by the hosts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from relman.app.documents.hosts import matrix_document, status_document
from relman.app.documents.prometheus import exposition
from relman.app.environments import Request
from relman.app.looking.matrix import StatusMatrix, status_matrix
from relman.app.looking.status import Status, watched
from relman.app.looking.status import status as look
from relman.cli.options import every_environment_options, gathered, hosts_options, max_unhealthy_option
from relman.cli.output.plan_view import also_on
from relman.cli.output.printer import Output
from relman.cli.output.text import age, by_whom
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError
from relman.rollout.looking.status import HostStatus
from relman.rollout.looking.verdict import Finding


@verb("status")
@every_environment_options
@hosts_options("--limit")
@max_unhealthy_option
@click.option(
    "--watch", is_flag=True, help="Show it again every 2 seconds, or without a terminal when it changes, until Ctrl-C."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "prometheus"]),
    default="table",
    help="`prometheus`: metrics in its text format, such as for node_exporter's textfile collector.",
)
@gathered(Request, "request")
def status(context: CommandContext, request: Request, max_unhealthy: str | None, watch: bool, form: str) -> None:
    """Show what runs where, and what to type where something is wrong.

    That is release, digest, since, health, and whether a rollback is ready. Without --service, or with
    --service all, it is that of every service. Without -e it is an overview of the inventory: a line for each service,
    a column for each environment, and in it the release and a word.

    The exit code is that of the gravest thing that is wrong, and the hint says what to type next: 10 a host serves
    nothing, 7 a change was interrupted, 6 hosts run different releases, 8 something else runs than was deployed, 11 a
    host did not answer, 12 one is unhealthy or paused.
    """
    output, metrics = context.output, form == "prometheus"
    if metrics and watch:
        raise UsageError("--watch and --format prometheus exclude each other: let Prometheus ask again")
    if not request.environment:
        if watch or request.only or request.exclude:
            raise UsageError("--watch, --only and --exclude are for one environment", hint="add -e ENV")
        matrix = status_matrix(context, request)
        if metrics:
            output.raw(exposition(matrix.environments).encode())
        else:
            _show_matrix(output, matrix)
        _conclude(output, matrix.findings, matrix.verdict(max_unhealthy))
    elif watch:
        _watch(context, request)
    else:
        found = look(context, request)
        if metrics:
            output.raw(exposition({request.environment: found}).encode())
        else:
            _show(output, request, found)
        _conclude(output, found.findings, found.verdict(max_unhealthy))


def _conclude(output: Output, found: Sequence[Finding], gravest: Finding | None) -> None:
    """Warn of what is wrong, and end with the gravest of it."""
    for each in found:
        if each is not gravest:
            _warn(output, each)
    if gravest:
        raise gravest.conclusion()


def _watch(context: CommandContext, request: Request) -> None:
    """Until it is cancelled, or nobody reads it any more."""
    output, before = context.output, None
    for found in watched(context, request, _PAUSE):
        if output.closed:
            return
        if output.clear() or found != before:
            _show(output, request, found)
            for each in found.findings:
                _warn(output, each)
        before = found


def _show(output: Output, request: Request, found: Status) -> None:
    rows = found.rows
    output.json("status", status_document(request.environment, found))
    output.table(_COLUMNS, [_cells(r) for r in rows], _SHARED)
    for name in dict.fromkeys(row.service for row in rows):
        for line in also_on(name, ((r.host, copy) for r in rows if r.service == name for copy in r.copies)):
            output.line(line)
    for row in rows:
        for note in row.notes:
            output.warn(f"{row.host}: {note}")
    _warn_of_departed(output, found)


def _show_matrix(output: Output, found: StatusMatrix) -> None:
    output.json("matrix", matrix_document(found))
    cells = {(c.service, c.environment): " ".join(filter(None, (", ".join(c.releases), c.word))) for c in found.cells}
    rows = [(service, *(cells.get((service, name), "") for name in found.environments)) for service in found.services]
    output.table(("SERVICE", *found.environments), rows)
    for status in found.environments.values():
        _warn_of_departed(output, status)


def _warn_of_departed(output: Output, found: Status) -> None:
    for gone in found.departed:
        output.warn(gone.what)
        output.warn(f"  {gone.way_out}")


_PAUSE = 2.0
_COLUMNS = ("HOST", "SERVICE", "RELEASE", "DIGEST", "SINCE", "BY", "HEALTH", "ROLLBACK")
_SHARED = ("SERVICE", "DIGEST", "SINCE", "BY", "ROLLBACK")


def _warn(output: Output, finding: Finding) -> None:
    output.warn(finding.what)
    for line in finding.details:
        output.warn(f"  {line}")
    if finding.way_out:
        output.warn(f"  {finding.way_out}")


def _cells(row: HostStatus) -> tuple[str, ...]:
    digest = row.manifest.removeprefix("sha256:")[:12]
    since = age(row.since, datetime.now(UTC)) if row.since else ""
    rollback = _rollback(row) if row.recorded_manifest else ""
    by = by_whom(row.by, row.how)
    return (row.host, row.service, row.release, digest, since, by, row.health, rollback)


def _rollback(row: HostStatus) -> str:
    if not row.rollback:
        return "none"
    return f"{row.rollback} ready" if row.rollback_kept else f"{row.rollback}, by pull"
