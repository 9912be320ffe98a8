"""Deployments that have ended and are not in the database yet: a line of JSON each, in a file beside it.

Whoever deploys adds a line, and neither loads the database nor waits for it; whoever reads history takes the lines in.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from relman.ledger.entries import HostOutcome, utc
from relman.model.journal import Failed


class Pending:
    """The lines beside the ledger `ledger`; safe for any number of processes."""

    def __init__(self, ledger: Path) -> None:
        self._file = ledger.with_suffix(".pending")

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one line. Raises OSError."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked("a") as file:
            file.write(f"\n{json.dumps(line)}\n")  # apart from a line that a full disk cut off

    @contextmanager
    def taken(self) -> Iterator[list[dict[str, Any]]]:
        """What was added, which is gone when the block ends well; a line that was left half written is passed over.
        Raises OSError."""
        if not self._file.exists():
            yield []
            return
        with self._locked("r+") as file:
            yield list(_lines(file))
            file.truncate(0)

    @contextmanager
    def _locked(self, mode: str) -> Iterator[IO[str]]:
        with self._file.open(mode) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    for line in file:
        with suppress(ValueError):
            yield json.loads(line)


def record_deployment(
    ledger: Path,
    warn: Callable[[str], None],
    *,
    id: str,
    kind: str,
    service: str,
    environment: str,
    release: str,
    digest: str,
    by: str,
    started: str,
    finished: str,
    outcome: str,
    hosts: Sequence[HostOutcome],
    reason: str = "",
) -> None:
    """A deployment has ended; `kind` is what was done (deployed, rolled back, recovered), times are RFC 3339.
    Another record of the same id replaces it. What cannot be recorded is told to `warn`."""
    try:
        line = {
            "id": id,
            "kind": kind,
            "service": service,
            "environment": environment,
            "release": release,
            "digest": digest,
            "by": by,
            "started": utc(started),
            "finished": utc(finished),
            "outcome": outcome,
            "hosts": [(h.host, h.outcome, h.detail, _told(h.failed)) for h in hosts],
            "reason": reason,
        }
        Pending(ledger).add(line)
    except (OSError, ValueError) as error:
        warn(f"not recorded in the history: {ledger}: {error}")


def _told(failed: Failed | None) -> str:
    return json.dumps(asdict(failed)) if failed else ""
