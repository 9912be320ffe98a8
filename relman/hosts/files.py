"""Small files in a host's state directory, over SFTP: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import posixpath
from collections.abc import Iterator
from typing import Any

import paramiko

from relman.hosts.connect import Connection
from relman.hosts.sftp import Sftp
from relman.model.errors import PreflightFailed, Unreachable

_LARGEST = 4 << 20


def directory(connection: Connection, environment: str, service: str) -> str:
    """The directory of one service in one environment."""
    for name in (environment, service):
        if not name or "/" in name or name.startswith("."):
            raise PreflightFailed(f"{name!r} cannot be a directory's name", host=connection.host.name)
    return posixpath.join(connection.host.state_dir, environment, service)


@contextlib.contextmanager
def explained(connection: Connection, path: str) -> Iterator[None]:
    """Turn what SFTP raises into the model's errors; FileNotFoundError and FileExistsError pass."""
    host = connection.host.name
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except PermissionError as error:
        raise PreflightFailed(
            f"{path} may not be read or written by {connection.host.endpoint.user}",
            host=host,
            hint="give that user the directory, or set relman_state_dir in the inventory (the same for every user)",
        ) from error
    except TimeoutError as error:
        connection.close()  # who did not answer for so long is not waited for again
        raise Unreachable(f"{path}: SFTP did not answer within {connection.timeout:g} s", host=host) from error
    except (EOFError, paramiko.SSHException) as error:
        raise Unreachable(f"{path}: the SSH connection broke", host=host) from error
    except OSError as error:
        if error.errno is None or error.errno in (errno.ENOSPC, errno.EROFS):
            said = error.strerror or str(error) or "it failed"
            raise PreflightFailed(
                f"{path}: {said}", host=host, hint="is the disk full, or mounted read-only?"
            ) from error
        raise Unreachable(f"{path}: {error}", host=host) from error


def write_beside(connection: Connection, path: str, token: str, data: bytes) -> str:
    """Write `data` under a name of its own beside `path` (mode 0600, directories 0700) and return that name."""
    sftp = connection.sftp()
    beside = f"{path}.{token}"
    try:
        _write(sftp, beside, data)
    except FileNotFoundError:
        _make_directories(sftp, posixpath.dirname(path))
        _write(sftp, beside, data)
    return beside


def _write(sftp: Sftp, path: str, data: bytes) -> None:
    try:
        sftp.write_file(path, data, 0o600)
    except FileNotFoundError:
        raise
    except OSError:
        with contextlib.suppress(OSError):
            sftp.remove(path)
        raise


def _make_directories(sftp: Sftp, path: str) -> None:
    missing = []
    while path not in ("/", ""):
        try:
            sftp.stat(path)
            break
        except FileNotFoundError:
            missing.append(path)
            path = posixpath.dirname(path)
    for each in reversed(missing):
        with contextlib.suppress(OSError):
            sftp.mkdir(each, 0o700)


def read(connection: Connection, path: str) -> tuple[bytes, float] | None:
    """A file's content and its time of writing by the host's clock (seconds since the epoch), or None."""
    with explained(connection, path):
        try:
            return connection.sftp().read_file(path, _LARGEST)
        except FileNotFoundError:
            return None


def encode(data: Any) -> bytes:
    """JSON as it is kept: indented for the person who looks at it."""
    return json.dumps(data, indent=1, sort_keys=True).encode()
