"""Translate SFTP's exceptions to the model's errors."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import paramiko

from relman.hosts.ssh.connection import Connection
from relman.model.errors import PreflightFailed, Unreachable

_CLOSED = "Socket is closed"  # paramiko's OSError for a closed channel, which has no errno


@contextlib.contextmanager
def explained(connection: Connection, path: str) -> Iterator[None]:
    """Translate SFTP's exceptions to PreflightFailed and Unreachable; FileNotFoundError and FileExistsError pass."""
    host = connection.host.name
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except PermissionError as error:
        raise refused(connection, path) from error
    except TimeoutError as error:
        raise connection.give_up(f"{path}: SFTP did not answer within {connection.patience:g} s") from error
    except (EOFError, paramiko.SSHException) as error:
        raise Unreachable(f"{path}: {connection.gone}", host=host) from error
    except OSError as error:
        if str(error) == _CLOSED or not connection.alive:
            raise Unreachable(f"{path}: {connection.gone}", host=host) from error
        if error.errno is None or error.errno in (errno.ENOSPC, errno.EROFS):
            said = error.strerror or str(error) or "it failed"
            raise PreflightFailed(
                f"{path}: {said}", host=host, hint="is the disk full, or mounted read-only?"
            ) from error
        raise Unreachable(f"{path}: {error}", host=host) from error


def refused(connection: Connection, path: str) -> PreflightFailed:
    """The error for a path that the host's user may not access."""
    user, state = connection.host.endpoint.user, connection.host.state_dir
    return PreflightFailed(
        f"{path} may not be read or written by {user}",
        host=connection.host.name,
        hint=f"on the host: sudo install -d -o {user} -m 700 {state}; "
        "for a team see relman_state_dir in docs/reference/inventories.md",
    )
