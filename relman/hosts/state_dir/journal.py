"""The journal on a host: STATE/ENVIRONMENT/SERVICE/journal.jsonl, and its predecessor, journal.jsonl.1."""

from __future__ import annotations

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.model.state_dir.journal import LARGEST_LINE, JournalLine, JournalLines, lines_in

NAME = location.JOURNAL
OLD = location.OLD_JOURNAL
FULL = 1 << 20  # bytes
_MOST = FULL + LARGEST_LINE


def append(connection: Connection, environment: str, service: str, line: JournalLine, *, locked: bool = True) -> None:
    """Append a line. If the lock is held, a file of more than 1 MiB is rotated. Raises PreflightFailed or
    Unreachable."""
    size = files.append(connection, environment, service, NAME, line.encode())
    if size > FULL and locked:
        place = location.place(connection, environment, service)
        files.replace(connection, place.of(NAME), place.of(OLD))


def read(connection: Connection, environment: str, service: str) -> JournalLines:
    """All lines of the journal. Raises PreflightFailed or Unreachable."""
    old, new = (_end(connection, environment, service, name, _MOST) for name in (OLD, NAME))
    before, after = lines_in(old, whole=len(old) < _MOST), lines_in(new, whole=len(new) < _MOST)
    again = {line.id for line in after.lines}
    kept = tuple(line for line in before.lines if line.id not in again)
    return JournalLines((*kept, *after.lines), (*before.passed_over, *after.passed_over))


def read_last(connection: Connection, environment: str, service: str) -> JournalLines:
    """The lines in its last 64 KiB. Raises PreflightFailed or Unreachable."""
    data = _end(connection, environment, service, NAME, LARGEST_LINE)
    return lines_in(data, whole=len(data) < LARGEST_LINE)


def _end(connection: Connection, environment: str, service: str, name: str, most: int) -> bytes:
    return files.tail(connection, location.place(connection, environment, service).of(name), most) or b""
