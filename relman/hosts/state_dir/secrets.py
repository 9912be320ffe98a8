"""Secrets of a service on a host: STATE/ENVIRONMENT/SERVICE/secrets/DEPLOYMENT/NAME.

A container's user reads them through its mounts, whoever it is: the files are of mode 0444. Nobody else on the host
comes to them, because the service's directory lets nobody through but its owner, or its team.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterable, Mapping

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed

_FILE_MODE = 0o444
_DIRECTORY_MODE = 0o755
_TEAM_MODE = 0o2775


def kept(connection: Connection, environment: str, service: str) -> bool:
    """Whether there was a directory of sets when the host was looked at first. Raises what `location.place` raises."""
    return location.place(connection, environment, service).secrets


def path(connection: Connection, environment: str, service: str, *names: str) -> str:
    """The directory of all sets, of one set, or one of its files. Raises what `location.place` raises."""
    return posixpath.join(location.place(connection, environment, service).of(location.SECRETS), *names)


def write(connection: Connection, environment: str, service: str, directory: str, values: Mapping[str, bytes]) -> None:
    """Write a set of values by name, anew. The service's directory must be there. Raises PreflightFailed or
    Unreachable."""
    team = location.place(connection, environment, service).team
    own = path(connection, environment, service, directory)
    named = {posixpath.join(own, name): value for name, value in values.items()}

    def once() -> None:
        with explained(connection, own):
            mode = _TEAM_MODE if team else _DIRECTORY_MODE
            try:
                connection.sftp().write_all([posixpath.dirname(own), own], mode, named, _FILE_MODE)
            except FileNotFoundError as error:
                raise PreflightFailed(f"{own} was removed by someone", host=connection.host.name) from error

    connection.lasting(once)


def read(connection: Connection, environment: str, service: str, directory: str, name: str) -> bytes | None:
    """A value, or None where it is not there any more. Raises PreflightFailed or Unreachable."""
    found = files.read(connection, path(connection, environment, service, directory, name))
    return found[0] if found else None


def missing(
    connection: Connection, environment: str, service: str, directory: str, names: Iterable[str]
) -> tuple[str, ...]:
    """The names of a set's files that are not there. Raises PreflightFailed or Unreachable."""
    wanted = tuple(names)
    own = path(connection, environment, service, directory)

    def once() -> tuple[str, ...]:
        with explained(connection, own):
            found = connection.sftp().lstats([posixpath.join(own, name) for name in wanted])
            return tuple(name for name, there in zip(wanted, found, strict=True) if there is None)

    return connection.lasting(once)


def sets(connection: Connection, environment: str, service: str) -> tuple[str, ...]:
    """The directories of all sets. Raises PreflightFailed or Unreachable."""
    return _names(connection, path(connection, environment, service))


def remove(connection: Connection, environment: str, service: str, directory: str) -> None:
    """Remove a set. Raises PreflightFailed or Unreachable."""
    own = path(connection, environment, service, directory)
    for name in _names(connection, own):
        files.remove(connection, posixpath.join(own, name))
    _rmdir(connection, own)


def remove_all(connection: Connection, environment: str, service: str) -> None:
    """Remove the directory of all sets, which must be empty. Raises PreflightFailed or Unreachable."""
    _rmdir(connection, path(connection, environment, service))


def _names(connection: Connection, directory: str) -> tuple[str, ...]:
    def once() -> tuple[str, ...]:
        with explained(connection, directory):
            try:
                return tuple(connection.sftp().listdir(directory))
            except FileNotFoundError:
                return ()

    return connection.lasting(once)


def _rmdir(connection: Connection, directory: str) -> None:
    def once() -> None:
        with explained(connection, directory), contextlib.suppress(FileNotFoundError):
            connection.sftp().rmdir(directory)

    connection.lasting(once)
