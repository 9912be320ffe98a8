"""relman history: who did what from this machine, when, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relman.cli.compose import data_dir, ledger
from relman.cli.options import any_environment_option, limit_option, service_option
from relman.cli.playbooks.journal import Journal, Journals
from relman.cli.text import moment
from relman.cli.verb import Context, verb
from relman.ledger.entries import Entry


@verb("history")
@any_environment_option
@service_option
@limit_option
def history(context: Context, environment: str | None, service: str | None, limit: int) -> None:
    """List what was done from this machine, newest first: tests, releases, deployments, playbooks.

    With -e ENV only what was done to that environment, with --service only what was done with that service.

    Other machines have a history of their own; `relman status` asks the hosts themselves.
    """
    entries = ledger(context).history(limit, environment, service)
    if environment is None and service is None:
        entries = sorted([*entries, *_playbooks(context)], key=lambda e: e.at, reverse=True)[:limit]
    output = context.output
    output.json("history", {"entries": [entry_data(e) for e in entries]})
    if not entries:
        about = "".join(f" for {kind} {name}" for kind, name in _filters(environment, service))
        output.line(f"nothing is recorded{about} on this machine (in {data_dir(context.environ)})")
        return
    output.table(("WHEN (UTC)", "WHAT", "SERVICE", "ENVIRONMENT", "OUTCOME", "BY", "ID"), [_cells(e) for e in entries])
    if any(e.id for e in entries):
        output.line("relman show ID tells more of a deployment or a playbook, relman show JOB/BUILD of a run")


def _playbooks(context: Context) -> Iterator[Entry]:
    """The runs of playbooks, from their own journals."""
    journals = Journals(data_dir(context.environ) / "playbooks")
    for j in journals.all():
        yield Entry("ran", j.at, j.by, "", _outcome(j, journals), id=j.id, release=j.file)


def _outcome(journal: Journal, journals: Journals) -> str:
    if journal.next is None:
        return "done"
    stage, place = journal.stages[journal.next], f"at stage {journal.next + 1} of {len(journal.stages)}"
    if stage.state == "failed":
        return f"failed {place} (exit code {stage.exit})"
    return place if journals.is_held(journal.id) else f"broken off {place}"


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry for programs; hosts only where they are known."""
    data = asdict(entry)
    return data if entry.hosts else {key: value for key, value in data.items() if key != "hosts"}


def _filters(environment: str | None, service: str | None) -> Sequence[tuple[str, str]]:
    pairs = (("environment", environment), ("service", service))
    return [(kind, name) for kind, name in pairs if name]


def _cells(entry: Entry) -> tuple[str, ...]:
    outcome = f"{entry.outcome} ({entry.reason})" if entry.reason else entry.outcome
    what = f"{entry.what} {Path(entry.release).name if entry.what == 'ran' else entry.release}"
    return (moment(entry.at), what, entry.service, entry.environment, outcome, entry.by, entry.id)
