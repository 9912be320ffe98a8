"""relman history: who did what from this machine, when, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from relman.cli.compose import data_dir, ledger
from relman.cli.options import any_environment_option, limit_option, service_option
from relman.cli.text import moment
from relman.cli.verb import Context, verb
from relman.ledger.entries import Entry


@verb("history")
@any_environment_option
@service_option
@limit_option
def history(context: Context, environment: str | None, service: str | None, limit: int) -> None:
    """List what was done from this machine, newest first: tests, releases and deployments, or one environment's.

    Other machines have a history of their own; `relman status` asks the hosts themselves.
    """
    entries = ledger(context).history(limit, environment, service)
    output = context.output
    output.json("history", {"entries": [entry_data(e) for e in entries]})
    if not entries:
        about = "".join(f" for {kind} {name}" for kind, name in _filters(environment, service))
        output.line(f"nothing is recorded{about} on this machine (in {data_dir(context.environ)})")
        return
    output.table(("WHEN (UTC)", "WHAT", "SERVICE", "ENVIRONMENT", "OUTCOME", "BY", "ID"), [_cells(e) for e in entries])
    if any(e.id for e in entries):
        output.line("relman show ID tells more of a deployment, relman show JOB/BUILD of a run")


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry for programs; hosts only where they are known."""
    data = asdict(entry)
    return data if entry.hosts else {key: value for key, value in data.items() if key != "hosts"}


def _filters(environment: str | None, service: str | None) -> Sequence[tuple[str, str]]:
    pairs = (("environment", environment), ("service", service))
    return [(kind, name) for kind, name in pairs if name]


def _cells(entry: Entry) -> tuple[str, ...]:
    outcome = f"{entry.outcome} ({entry.reason})" if entry.reason else entry.outcome
    what = f"{entry.what} {entry.release}"
    return (moment(entry.at), what, entry.service, entry.environment, outcome, entry.by, entry.id)
