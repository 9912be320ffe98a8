"""Documents of the history: entries, one deployment, one CI run, and what ran at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relman.app.looking.history import HostHistory
    from relman.app.looking.history_at import RanThen
    from relman.app.looking.lookup import RecordedRun
    from relman.ledger.entries import Entry


def entry_document(entry: Entry) -> dict[str, Any]:
    """One entry, without the key `hosts` if they are not known."""
    data = asdict(entry)
    return data if entry.hosts else {key: value for key, value in data.items() if key != "hosts"}


def history_document(entries: Sequence[Entry]) -> dict[str, Any]:
    """The local history."""
    return {"entries": [entry_document(e) for e in entries]}


def host_history_document(history: HostHistory) -> dict[str, Any]:
    """The history in the hosts' journals, with contradictions, and the hosts that could not be asked."""
    return {
        "environment": history.environment,
        **history_document(history.entries),
        "remarks": [*history.answers.remarks(), *history.remarks],
        "unasked": {host: error.what for host, error in history.answers.unasked.items()},
    }


def then_document(environment: str, time: str, rows: Sequence[RanThen]) -> dict[str, Any]:
    """What every host ran at `time`, which is RFC 3339 in UTC."""
    return {"environment": environment, "at": time, "hosts": [asdict(row) for row in rows]}


def run_document(run: RecordedRun) -> dict[str, Any]:
    """A CI run with its test results."""
    return {
        "run": str(run.name),
        "results": [report.to_json() for report in run.reports],
        "history": [entry_document(e) for e in run.entries],
    }
