"""The lock: STATE/ENVIRONMENT/SERVICE/lock.json on the host itself, which is at once the intent of what comes next.

It comes into being whole: written beside, then renamed with SFTP's own rename, which in OpenSSH refuses an existing
target (draft-ietf-secsh-filexfer-02, 6.5). Its age is the file's, by the host's clock. What remains of a race: a holder
that was asleep for longer than its time to live and wakes between its last look at the file and its next change.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
from collections.abc import Iterator

from relman.hosts import files
from relman.hosts.connect import Connection
from relman.model.errors import Locked, UsageError
from relman.model.record import FoundLock, Lock

NAME = "lock.json"
_GUARD_TTL = 60.0


def _path(connection: Connection, environment: str, service: str) -> str:
    return posixpath.join(files.directory(connection, environment, service), NAME)


def acquire(connection: Connection, environment: str, service: str, lock: Lock) -> None:
    """Create the lock. Raises Locked when there is one, PreflightFailed where the directory cannot be written."""
    path = _path(connection, environment, service)
    _create(connection, path, lock.token, files.encode(lock.to_json()))


def _create(connection: Connection, path: str, token: str, data: bytes) -> None:
    sftp = connection.sftp()
    with files.explained(connection, path):
        beside = files.write_beside(connection, path, token, data)
        try:
            sftp.rename(beside, path)
        except OSError:
            sftp.remove(beside)
            sftp.stat(path)
            raise Locked("is locked", host=connection.host.name) from None


def read(connection: Connection, environment: str, service: str, *, now: float) -> FoundLock | None:
    """The lock as it stands, or None; `now` is the host's clock in seconds since the epoch."""
    found = files.read(connection, _path(connection, environment, service))
    if found is None:
        return None
    data, written = found
    try:
        lock = Lock.from_json(json.loads(data))
    except (KeyError, TypeError, ValueError, RecursionError, UsageError):
        lock = None
    return FoundLock(lock, max(0.0, now - written))


def advance(connection: Connection, environment: str, service: str, lock: Lock, *, look: bool) -> None:
    """Replace our lock's content in one atomic step; with `look` only after seeing that it still is ours.

    Raises Locked when it has become somebody else's.
    """
    path = _path(connection, environment, service)
    if look:
        _require_ours(connection, path, lock)
    with files.explained(connection, path):
        beside = files.write_beside(connection, path, lock.token, files.encode(lock.to_json()))
        connection.sftp().posix_rename(beside, path)


def release(connection: Connection, environment: str, service: str, lock: Lock, *, look: bool) -> None:
    """Remove our lock; with `look` only after seeing that it still is ours. Raises Locked when it is not."""
    path = _path(connection, environment, service)
    if look:
        _require_ours(connection, path, lock)
    with files.explained(connection, path), contextlib.suppress(FileNotFoundError):
        connection.sftp().remove(path)


def _require_ours(connection: Connection, path: str, lock: Lock) -> None:
    found = files.read(connection, path)
    if found is None or _token(found[0]) != lock.token:
        raise Locked("the lock ran out and somebody else has taken it", host=connection.host.name)


def _token(data: bytes) -> str:
    try:
        return str(json.loads(data)["token"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def take_over(
    connection: Connection, environment: str, service: str, found: FoundLock, lock: Lock, *, now: float
) -> None:
    """Put `lock` in the place of a dead holder's. Of several comers one succeeds; the others get Locked."""
    path = _path(connection, environment, service)
    dead = found.lock.token if found.lock else ""
    with _guard(connection, f"{path}.takeover", lock.token, now):
        again = files.read(connection, path)
        if again is None:
            acquire(connection, environment, service, lock)
        elif _token(again[0]) == dead:
            advance(connection, environment, service, lock, look=False)
        else:
            raise Locked("is locked by somebody who came first", host=connection.host.name)


@contextlib.contextmanager
def _guard(connection: Connection, path: str, token: str, now: float) -> Iterator[None]:
    """Be the only one who takes over; a guard whose owner died is out of date after a minute."""
    try:
        _create(connection, path, token, token.encode())
    except Locked:
        standing = files.read(connection, path)
        if standing is None or now - standing[1] < _GUARD_TTL:
            raise
        with contextlib.suppress(FileNotFoundError):
            connection.sftp().remove(path)
        _create(connection, path, token, token.encode())
    try:
        yield
    finally:
        with files.explained(connection, path), contextlib.suppress(FileNotFoundError):
            connection.sftp().remove(path)
