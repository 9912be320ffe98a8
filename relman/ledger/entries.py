"""What the ledger tells: values without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from relman.model.journal import Failed


@dataclass(frozen=True)
class HostOutcome:
    """What a deployment came to on one host; `failed` is what went wrong there."""

    host: str
    outcome: str
    detail: str = ""
    failed: Failed | None = None


@dataclass(frozen=True)
class Entry:
    """One line of history. `what` is tested, promoted, ran (a playbook), or a deployment's kind; `at` is when it ended,
    RFC 3339 in UTC; what an entry does not have is empty. `hosts` is filled for a deployment that was asked for by its
    id."""

    what: str
    at: str
    by: str
    service: str
    outcome: str
    id: str = ""
    environment: str = ""
    release: str = ""
    digest: str = ""
    reason: str = ""
    began: str = ""
    commit: str = ""
    cause: str = ""
    resolved: str = ""
    hosts: tuple[HostOutcome, ...] = ()


def utc(time: str) -> str:
    """One form for all RFC 3339 times, so that text sorts by time. Raises ValueError."""
    moment = datetime.fromisoformat(time).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
