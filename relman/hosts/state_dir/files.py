"""Small files in a host's state directory, over SFTP: written atomically, in a trusted directory."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import location
from relman.hosts.state_dir.location import StateDirectory
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed
from relman.model.formats.untrusted_json import Misread, Newer

LARGEST = 4 << 20
"""Bytes that are read of a file; a larger one is refused."""


def write_beside(
    connection: Connection, environment: str, service: str, name: str, token: str, data: bytes
) -> tuple[str, str]:
    """Write `data` to a temporary file beside the file `name` of a service; returns its path and the file's own.

    Modes are 0600 for files and 0700 for directories, or 0660 and 2770 if a team shares them. Raises what
    `location.place` raises, and PreflightFailed if it cannot be written.
    """
    place, _ = connection.lasting(lambda: _put(connection, environment, service, f"{name}.{token}", data))
    return place.of(f"{name}.{token}"), place.of(name)


def _put(
    connection: Connection, environment: str, service: str, name: str, data: bytes, *, append: bool = False
) -> tuple[StateDirectory, int]:
    """Write a file in the service's directory, which is created if necessary; returns the file's size as well."""
    place = location.place(connection, environment, service)
    for again in (False, True):  # a concurrent command may have removed the empty directory
        if again or place.missing:
            place = location.make(connection, environment, service)
        with contextlib.suppress(FileNotFoundError):
            return place, _write(connection, place, name, data, append=append)
    raise PreflightFailed(f"{place.path} was removed by someone", host=connection.host.name)


def _write(connection: Connection, place: StateDirectory, name: str, data: bytes, *, append: bool = False) -> int:
    sftp, path = connection.sftp(), place.of(name)
    with explained(connection, path):
        try:
            size = sftp.write_file(path, data, place.file_mode, append=append)
            if place.team:  # the umask may have removed the group's permission
                with contextlib.suppress(*[PermissionError][: int(append)]):  # another user's file has the mode already
                    sftp.chmod(path, place.file_mode)
            return size  # noqa: TRY300 - what follows is about what failed
        except (FileNotFoundError, TimeoutError):
            raise
        except OSError:
            if not append:
                with contextlib.suppress(OSError):
                    sftp.remove(path)
            raise


def append(connection: Connection, environment: str, service: str, name: str, data: bytes) -> int:
    """Append `data` to a service's file, which is created if necessary; returns its size.

    A process that dies may leave a part of it, and a lost connection may append it twice. Raises what `write_beside`
    raises.
    """
    return connection.lasting(lambda: _put(connection, environment, service, name, data, append=True)[1])


def tail(connection: Connection, path: str, most: int) -> bytes | None:
    """A file's last `most` bytes, or None if it does not exist. Raises PreflightFailed or Unreachable."""

    def once() -> bytes | None:
        with explained(connection, path):
            try:
                return connection.sftp().read_end(path, most)
            except FileNotFoundError:
                return None

    return connection.lasting(once)


def replace(connection: Connection, beside: str, path: str) -> None:
    """Replace a file by another one atomically. Raises PreflightFailed or Unreachable."""
    before = False

    def once() -> None:
        nonlocal before
        again, before = before, True
        with explained(connection, path):
            try:
                connection.sftp().posix_rename(beside, path)
            except FileNotFoundError as error:
                if not again:  # else it succeeded, and the response was lost with the connection
                    raise PreflightFailed(f"{beside} was removed by someone", host=connection.host.name) from error

    connection.lasting(once)


def remove(connection: Connection, path: str) -> None:
    """Remove a file, if it exists. Raises PreflightFailed or Unreachable."""

    def once() -> None:
        with explained(connection, path), contextlib.suppress(FileNotFoundError):
            connection.sftp().remove(path)

    connection.lasting(once)


def read(connection: Connection, path: str) -> tuple[bytes, float] | None:
    """A file's content and its modification time by the host's clock (seconds since the epoch), or None.

    Raises PreflightFailed, also if it is larger than 4 MiB, and Unreachable.
    """

    def once() -> tuple[bytes, float] | None:
        with explained(connection, path):
            try:
                return connection.sftp().read_file(path, LARGEST + 1)
            except FileNotFoundError:
                return None

    found = connection.lasting(once)
    if found is None:
        return None
    data, written = found
    if len(data) > LARGEST:
        raise misread(connection, path, Misread("", f"it is larger than {LARGEST >> 20} MiB"))
    return data, written


def misread(connection: Connection, path: str, error: Misread) -> PreflightFailed:
    """The error for a file with invalid content."""
    hint = "update relman on this machine" if isinstance(error, Newer) else "look at it on the host"
    return PreflightFailed(f"{path}: {error}", host=connection.host.name, hint=hint)


def encode(data: Any) -> bytes:
    """JSON in the form of state files: indented for people; lone surrogates (from arguments that were not UTF-8) become
    "?"."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False).encode(errors="replace")
