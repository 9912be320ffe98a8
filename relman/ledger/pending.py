"""Deployments that are not in the database yet: one line of JSON each, in a file beside it.

A deployment appends a line, and so neither loads the database nor waits for it; reading the history enters the lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from relman.ledger.entries import HostOutcome, utc
from relman.local import file_lock
from relman.model.state_dir.journal import Failed


class Pending:
    """The lines pending for `ledger`; safe for concurrent processes."""

    def __init__(self, ledger: Path) -> None:
        self._file = ledger.with_suffix(".pending")

    def add(self, line: Mapping[str, Any]) -> None:
        """Append one line. Raises OSError."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked("a") as file:
            file.write(f"\n{json.dumps(line)}\n")  # the first \n ends a line that a full disk may have truncated

    @contextmanager
    def taken(self) -> Iterator[list[dict[str, Any]]]:
        """The pending lines, which are removed if the block ends without an exception; truncated lines are skipped.

        Raises OSError.
        """
        if not self._file.exists():
            yield []
            return
        with self._locked("r+") as file:
            yield list(_lines(file))
            file.truncate(0)

    @contextmanager
    def _locked(self, mode: str) -> Iterator[IO[str]]:
        with self._file.open(mode) as file:
            file_lock.wait_for(file)
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
    """Record that a deployment has ended.

    `kind` is the verb (deployed, rolled back, recovered); times are RFC 3339. Recording the same id again replaces the
    first record. An error is passed to `warn`.
    """
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
