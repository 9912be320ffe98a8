"""relman history: what was done, by whom, when, why, and with what outcome, from this machine or an environment's
hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from relman.app.documents.history import history_document, host_history_document, then_document
from relman.app.environments import Request
from relman.app.looking.history import history_from_here, history_of_hosts
from relman.app.looking.history_at import RanThen, ran_then, time_of
from relman.app.looking.journals import ask, say_remarks
from relman.cli.options import any_environment_option, hosts_options, inventory_option, limit_option, service_option
from relman.cli.output.text import by_whom, moment
from relman.cli.verb import CommandContext, verb
from relman.ledger.entries import Entry
from relman.local.directories import data_directory
from relman.model.errors import UsageError


@verb("history")
@any_environment_option
@inventory_option
@service_option
@hosts_options()
@limit_option
@click.option("--at", metavar="TIME", help="What ran where then; TIME is in UTC unless it names an offset.")
def history(
    context: CommandContext,
    environment: str | None,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    limit: int,
    at: str | None,
) -> None:
    """List what was done, newest first, with who and why.

    With -e ENV the hosts of that environment are asked; they remember every deployment, from whichever machine. What
    only this machine knows is added: tests, releases, broken locks. Without -e it is what was done from this machine,
    including playbooks.

    With --at TIME (2026-01-31T12:00:00Z, "2026-01-31 12:00" or 2026-01-31): what every host ran then.
    """
    if environment is None:
        if only or exclude:
            raise UsageError("--only and --exclude want -e ENV", hint="they choose among the hosts of an environment")
        if at:
            raise UsageError("--at needs -e ENV", hint="only the hosts' journals tell what ran when")
        _from_here(context, service, limit)
        return
    request = Request(environment, inventories, service, only, exclude)
    if at:
        _then(context, request, time_of(at))
    else:
        _of_hosts(context, request, limit)


_SHARED = ("SERVICE", "ENVIRONMENT", "HOSTS", "BY")


def _from_here(context: CommandContext, service: str | None, limit: int) -> None:
    output, entries = context.output, history_from_here(context, service, limit)
    output.json("history", history_document(entries))
    if not entries:
        about = f" for service {service}" if service else ""
        output.line(f"nothing is recorded{about} on this machine (in {data_directory(context.environ)})")
        return
    columns = ("WHEN (UTC)", "WHAT", "SERVICE", "ENVIRONMENT", "OUTCOME", "BY", "ID")
    output.table(columns, [_cells(e) for e in entries], _SHARED)
    if any(e.id for e in entries):
        output.line("relman show ID shows one deployment or playbook, relman show JOB/BUILD one run")


def _of_hosts(context: CommandContext, request: Request, limit: int) -> None:
    output, found = context.output, history_of_hosts(context, request, limit)
    output.json("history", host_history_document(found))
    if found.entries:
        output.table(
            ("WHEN (UTC)", "WHAT", "SERVICE", "HOSTS", "OUTCOME", "BY", "ID"),
            [(*_cells(e)[:3], _counted(e), *_cells(e)[4:]) for e in found.entries],
            _SHARED,
        )
        output.line(f"relman show ID -e {found.environment} shows one deployment")
    elif not found.answers.unasked:
        about = f" of {request.service}" if request.service else ""
        output.line(f"no host of {found.environment} has a journal{about} yet, and this machine has no history of it")
    say_remarks(output, found.answers, found.remarks)
    found.answers.require_all()


def _then(context: CommandContext, request: Request, time: str) -> None:
    """What every host ran at `time`. Raises Unknown if one could not be asked."""
    output, answers = context.output, ask(context, request)
    rows = ran_then(context, answers, request.service, time)
    output.json("then", then_document(request.environment, time, rows))
    output.line(f"{request.environment} at {moment(time)} UTC, by the journals of its hosts")
    output.table(
        ("HOST", "SERVICE", "RELEASE", "DIGEST", "COMMIT", "SINCE (UTC)", "BY", "TESTS"),
        [_then_cells(r) for r in rows],
        ("SERVICE", "DIGEST", "COMMIT", "SINCE (UTC)", "BY", "TESTS"),
    )
    for row in rows:
        if row.under_way:
            output.note(f"{row.host}: {row.under_way} was in progress")
    say_remarks(output, answers)
    answers.require_all()


def _then_cells(row: RanThen) -> tuple[str, ...]:
    digest = row.digest.removeprefix("sha256:")[:12]
    since = moment(row.since) if row.since else ""
    by = by_whom(row.by, row.how)
    return (row.host, row.service, row.release or row.why, digest, row.commit[:12], since, by, row.tests)


def _counted(entry: Entry) -> str:
    """The outcomes, each with its number of hosts."""
    return ", ".join(f"{count} {outcome}" for outcome, count in Counter(h.outcome for h in entry.hosts).items())


def _cells(entry: Entry) -> tuple[str, ...]:
    outcome = f"{entry.outcome} ({entry.reason})" if entry.reason else entry.outcome
    what = f"{entry.what} {Path(entry.release).name if entry.what == 'ran' else entry.release}"
    return (moment(entry.at), what, entry.service, entry.environment, outcome, entry.by, entry.id)
