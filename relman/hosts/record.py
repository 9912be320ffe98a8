"""The host record: STATE/ENVIRONMENT/SERVICE/record.json on the host itself, mode 0600."""

from __future__ import annotations

import contextlib
import json
import posixpath
import secrets
from dataclasses import dataclass

from relman.hosts import files, lock
from relman.hosts.connect import Connection
from relman.model.errors import PreflightFailed, UsageError
from relman.model.record import HostRecord

NAME = lock.RECORD


def read(connection: Connection, environment: str, service: str) -> HostRecord:
    """What the host remembers; an empty record when it knows nothing. Raises PreflightFailed on a broken one."""
    path = posixpath.join(files.directory(connection, environment, service), NAME)
    found = files.read(connection, path)
    if found is None:
        return HostRecord(service, environment)
    try:
        return HostRecord.from_json(json.loads(found[0]))
    except (KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        raise PreflightFailed(
            f"{path} is not a host record that this relman can read: {error}",
            host=connection.host.name,
            hint="look at it; moved out of the way, relman starts a new one and forgets what could be rolled back to",
        ) from error


def write(connection: Connection, record: HostRecord) -> None:
    """Replace the host's record in one atomic step. Raises PreflightFailed or Unreachable, and leaves the old one."""
    draft(connection, record).place()


@dataclass(frozen=True)
class Draft:
    """A record that lies on the host, beside the one that counts."""

    record: HostRecord
    _connection: Connection
    _path: str
    _beside: str

    def place(self) -> None:
        """Make it the one that counts, in one atomic step. Raises PreflightFailed or Unreachable."""
        with files.explained(self._connection, self._path):
            self._connection.sftp().posix_rename(self._beside, self._path)

    def drop(self) -> None:
        """Remove it. Raises PreflightFailed or Unreachable."""
        with files.explained(self._connection, self._beside), contextlib.suppress(FileNotFoundError):
            self._connection.sftp().remove(self._beside)


def draft(connection: Connection, record: HostRecord) -> Draft:
    """Write a record that does not count yet. Raises PreflightFailed or Unreachable."""
    path = posixpath.join(files.directory(connection, record.environment, record.service), NAME)
    with files.explained(connection, path):
        beside = files.write_beside(connection, path, secrets.token_hex(4), files.encode(record.to_json()))
    return Draft(record, connection, path, beside)


def forget(connection: Connection, environment: str, service: str) -> None:
    """Remove the record, if there is one."""
    path = posixpath.join(files.directory(connection, environment, service), NAME)
    with files.explained(connection, path), contextlib.suppress(FileNotFoundError):
        connection.sftp().remove(path)


def forget_directory(connection: Connection, environment: str, service: str) -> None:
    """Remove the service's directory, unless somebody keeps something there."""
    path = files.directory(connection, environment, service)
    with contextlib.suppress(OSError), files.explained(connection, path):
        connection.sftp().rmdir(path)


def services(connection: Connection, environment: str) -> list[str]:
    """The services that this host has records of in the environment."""
    path = posixpath.join(connection.host.state_dir, environment)
    with files.explained(connection, path):
        try:
            return sorted(connection.sftp().listdir(path))
        except FileNotFoundError:
            return []
