"""The record on a host: STATE/ENVIRONMENT/SERVICE/record.json, mode 0600."""

from __future__ import annotations

import contextlib
import re
import secrets
from dataclasses import dataclass

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed
from relman.model.formats.untrusted_json import Misread, Newer, parse
from relman.model.state_dir.record import HostRecord

NAME = location.RECORD
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_SERVICES = 1000


def read(connection: Connection, environment: str, service: str) -> HostRecord:
    """The host's record, empty if there is none. Raises PreflightFailed if it is malformed."""
    path = location.place(connection, environment, service).of(NAME)
    found = files.read(connection, path)
    if found is None:
        return HostRecord(service, environment)
    try:
        return _understood(found[0], environment, service)
    except Newer as error:
        raise files.misread(connection, path, error) from error
    except Misread as error:
        raise PreflightFailed(
            f"{path}: {error}",
            host=connection.host.name,
            hint="look at it; once it is moved away, relman starts a new one, with nothing to roll back to",
        ) from error


def _understood(data: bytes, environment: str, service: str) -> HostRecord:
    record = HostRecord.from_json(parse(data))
    for key, here in (("environment", environment), ("service", service)):
        if getattr(record, key) != here:
            raise Misread(key, f"expected {here}, as its directory says")
    return record


def write(connection: Connection, record: HostRecord) -> None:
    """Replace the host's record atomically. Raises PreflightFailed or Unreachable; the old one then stays."""
    draft(connection, record).place()


@dataclass(frozen=True)
class Draft:
    """A record in a temporary file beside the current one."""

    record: HostRecord
    _connection: Connection
    _path: str
    _beside: str

    def place(self) -> None:
        """Make it the current one, atomically. Raises PreflightFailed or Unreachable."""
        files.replace(self._connection, self._beside, self._path)

    def drop(self) -> None:
        """Remove it. Raises PreflightFailed or Unreachable."""
        files.remove(self._connection, self._beside)


def draft(connection: Connection, record: HostRecord) -> Draft:
    """Write a record to a temporary file. Raises PreflightFailed or Unreachable."""
    data, token = files.encode(record.to_json()), secrets.token_hex(4)
    beside, path = files.write_beside(connection, record.environment, record.service, NAME, token, data)
    return Draft(record, connection, path, beside)


def forget(connection: Connection, environment: str, service: str) -> None:
    """Remove the record, if there is one."""
    files.remove(connection, location.place(connection, environment, service).of(NAME))


def forget_directory(connection: Connection, environment: str, service: str) -> None:
    """Remove the service's directory, unless it contains other files."""
    path = location.place(connection, environment, service).path
    with contextlib.suppress(OSError), explained(connection, path):
        connection.sftp().rmdir(path)


def services(connection: Connection, environment: str) -> list[str]:
    """The services that have a directory on this host. Raises PreflightFailed or Unreachable."""
    path = location.place(connection, environment).path
    with explained(connection, path):
        try:
            found = sorted(filter(_SERVICE.fullmatch, connection.sftp().listdir(path)))
        except FileNotFoundError:
            return []
    if len(found) > _MOST_SERVICES:
        raise PreflightFailed(f"{path} holds more than {_MOST_SERVICES} services", host=connection.host.name)
    return found
