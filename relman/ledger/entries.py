"""The ledger's entries, as values without a database."""

from __future__ import annotations

from dataclasses import dataclass

from relman.model.formats.clock import from_rfc3339, rfc3339
from relman.model.state_dir.journal import Failed


@dataclass(frozen=True)
class HostOutcome:
    """The outcome of a deployment on one host; `failed` says what went wrong there."""

    host: str
    outcome: str
    detail: str = ""
    failed: Failed | None = None


@dataclass(frozen=True)
class Entry:
    """One line of history. Fields that an entry does not have are empty.

    `what` is tested, promoted, ran (a playbook), or a deployment's kind; `at` is when it ended, RFC 3339 in UTC.
    `hosts` is filled only for a single deployment, requested by its id.
    """

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
    users: str = ""
    hosts: tuple[HostOutcome, ...] = ()


def utc(time: str) -> str:
    """Normalise an RFC 3339 time to UTC with milliseconds, so that times sort as text. Raises ValueError."""
    return rfc3339(from_rfc3339(time), "milliseconds")
