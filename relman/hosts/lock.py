"""The lock: STATE/ENVIRONMENT/SERVICE/lock.json on the host itself, which is at once the intent of what comes next.

It comes into being whole: written beside, then renamed with SFTP's own rename, which in OpenSSH refuses an existing
target (draft-ietf-secsh-filexfer-02, 6.5). Its age is the file's, by the host's clock. What remains of a race: a holder
that was asleep for longer than its time to live and wakes between its last look at the file and its next change, and
two who find the guard of the same dead taker-over in the same moment.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace

from relman.hosts import files
from relman.hosts.connect import Connection
from relman.model.errors import Locked, UsageError
from relman.model.record import FoundLock, Lock, Phase

NAME = "lock.json"
RECORD = "record.json"


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
            with contextlib.suppress(FileNotFoundError):
                sftp.remove(beside)
            sftp.stat(path)
            raise Locked("is locked", host=connection.host.name) from None


def read(connection: Connection, environment: str, service: str, *, now: float) -> FoundLock | None:
    """The lock as it stands, or None; `now` is the host's clock in seconds since the epoch."""
    found = files.read(connection, _path(connection, environment, service))
    return _found(found, now) if found else None


def draft(connection: Connection, environment: str, service: str, lock: Lock) -> str:
    """Write what our lock is to say next beside it, and return that file's name. It counts only once it is placed."""
    path = _path(connection, environment, service)
    with files.explained(connection, path):
        return files.write_beside(connection, path, f"{lock.token}.next", files.encode(lock.to_json()))


def advance(
    connection: Connection, environment: str, service: str, lock: Lock, *, look: bool, drafted: str | None = None
) -> None:
    """Replace our lock's content in one atomic step, by the draft if there is one; with `look` only after seeing that
    it still is ours.

    Raises Locked when it has become somebody else's.
    """
    path = _path(connection, environment, service)
    if look:
        _require_ours(connection, path, lock)
    with files.explained(connection, path):
        beside = drafted or files.write_beside(connection, path, lock.token, files.encode(lock.to_json()))
        connection.sftp().posix_rename(beside, path)


def drop(connection: Connection, drafted: str) -> None:
    """Remove a draft that was not placed."""
    with files.explained(connection, drafted), contextlib.suppress(FileNotFoundError):
        connection.sftp().remove(drafted)


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
        raise Locked("the lock is not ours any more: it ran out or was broken", host=connection.host.name)


def _token(data: bytes) -> str:
    try:
        return str(json.loads(data)["token"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def take_over(
    connection: Connection,
    environment: str,
    service: str,
    found: FoundLock,
    lock: Lock,
    *,
    now: float,
    dead: Callable[[FoundLock], bool],
) -> None:
    """Put `lock` in the place of a dead holder's; `dead` tells whether the holder of a lock is gone. Of several comers
    one succeeds; the others get Locked."""
    path = _path(connection, environment, service)
    before = found.lock.token if found.lock else ""
    with _guard(connection, f"{path}.takeover", lock, now, dead):
        again = files.read(connection, path)
        if again is None:
            acquire(connection, environment, service, lock)
        elif _token(again[0]) == before:
            advance(connection, environment, service, lock, look=False)
        else:
            raise Locked("is locked by somebody who came first", host=connection.host.name)


def break_lock(
    connection: Connection,
    environment: str,
    service: str,
    found: FoundLock,
    mark: Lock,
    *,
    now: float,
    dead: Callable[[FoundLock], bool],
) -> None:
    """Take the lock that was found away from its holder; `mark` is by whom. What the holder was in the middle of stays
    on record, as an interrupted deployment. Raises Locked when the lock is another one by now."""
    take_over(connection, environment, service, found, mark, now=now, dead=dead)
    if mark.phase is Phase.HELD:
        release(connection, environment, service, mark, look=False)


def sweep(
    connection: Connection, environment: str, service: str, *, now: float, dead: Callable[[FoundLock], bool]
) -> None:
    """Remove what processes that died left half written beside lock and record. The lock must be held."""
    directory = files.directory(connection, environment, service)
    with files.explained(connection, directory), contextlib.suppress(FileNotFoundError):
        for name in connection.sftp().listdir(directory):
            path = posixpath.join(directory, name)
            if name.startswith(f"{NAME}.") and (found := files.read(connection, path)):
                beside = _found(found, now)
                # Half written, it is nobody's lock; who still writes it finds that ours stands.
                if beside.lock is None or dead(beside):
                    connection.sftp().remove(path)
            elif name.startswith(f"{RECORD}."):
                connection.sftp().remove(path)  # only the holder of the lock writes a record


@contextlib.contextmanager
def _guard(
    connection: Connection, path: str, lock: Lock, now: float, dead: Callable[[FoundLock], bool]
) -> Iterator[None]:
    """Be the only one who takes over; a guard whose owner died is removed."""
    data = files.encode(replace(lock, intent=None).to_json())
    try:
        _create(connection, path, lock.token, data)
    except Locked:
        standing = files.read(connection, path)
        if standing and not dead(_found(standing, now)):
            raise
        with contextlib.suppress(FileNotFoundError):
            connection.sftp().remove(path)
        _create(connection, path, lock.token, data)
    try:
        yield
    finally:
        with files.explained(connection, path), contextlib.suppress(FileNotFoundError):
            connection.sftp().remove(path)


def _found(file: tuple[bytes, float], now: float) -> FoundLock:
    data, written = file
    try:
        lock = Lock.from_json(json.loads(data))
    except (KeyError, TypeError, ValueError, RecursionError, UsageError):
        lock = None
    return FoundLock(lock, max(0.0, now - written))
