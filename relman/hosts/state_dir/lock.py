"""The lock on a host: STATE/ENVIRONMENT/SERVICE/lock.json, which also contains the intent of the next change.

It is created atomically: written to a temporary file, then renamed with SFTP's own rename, which fails if the target
exists (https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02#section-6.5). Its age is the file's, by the
host's clock.

Two races remain: a holder that is suspended for longer than its time to live between its last read of the file and its
next change; and two commands that find the guard of the same dead taker-over at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import Locked, PreflightFailed
from relman.model.formats.untrusted_json import Misread, Newer, parse
from relman.model.state_dir.lock import FoundLock, Lock, Phase

NAME = location.LOCK


@dataclass(frozen=True)
class _Where:
    """A service's directory on one host, and access to its locks."""

    connection: Connection
    environment: str
    service: str

    def path(self, name: str = NAME) -> str:
        """The path of a file in it. Raises what `location.place` raises."""
        return location.place(self.connection, self.environment, self.service).of(name)

    def beside(self, name: str, token: str, lock: Lock) -> tuple[str, str]:
        """Write a lock to a temporary file beside the file `name`; returns both paths."""
        data = files.encode(lock.to_json())
        return files.write_beside(self.connection, self.environment, self.service, name, token, data)

    def standing(self, name: str = NAME) -> _Standing | None:
        """The lock in the file, or None. Raises PreflightFailed if a newer relman wrote it."""
        path = self.path(name)
        found = files.read(self.connection, path)
        if found is None:
            return None
        data, written = found
        try:
            return _Standing(Lock.from_json(parse(data), self.environment, self.service), written)
        except Newer as error:
            raise files.misread(self.connection, path, error) from error
        except Misread:
            return _Standing(None, written)


@dataclass(frozen=True)
class _Standing:
    """A lock file: its content, None if malformed, and when it was written, by the host's clock."""

    lock: Lock | None
    written: float

    @property
    def token(self) -> str:
        """The holder's token."""
        return self.lock.token if self.lock else ""

    def found(self, now: float) -> FoundLock:
        """The lock as seen at a time of the host's clock."""
        return FoundLock(self.lock, max(0.0, now - self.written))


def acquire(connection: Connection, environment: str, service: str, lock: Lock) -> None:
    """Create the lock. Raises Locked if it exists, PreflightFailed if the directory cannot be written."""
    _create(_Where(connection, environment, service), NAME, lock)


def _create(where: _Where, name: str, lock: Lock) -> None:
    beside, path = where.beside(name, lock.token, lock)
    sftp, said = where.connection.sftp(), ""
    with explained(where.connection, path):
        for _ in range(2):  # retry once if the existing lock was released in the meantime
            try:
                return sftp.rename(beside, path)
            except TimeoutError:
                raise
            except OSError as error:
                said = str(error)
            if sftp.lstats([path])[0]:
                files.remove(where.connection, beside)
                raise Locked("is locked", host=where.connection.host.name)
        files.remove(where.connection, beside)
    raise PreflightFailed(f"{path} could not be made: {said}", host=where.connection.host.name)


def read(connection: Connection, environment: str, service: str, *, now: float) -> FoundLock | None:
    """The lock, or None; `now` is the host's clock in seconds since the epoch.

    Raises PreflightFailed if a newer relman wrote it, because its meaning is unknown.
    """
    standing = _Where(connection, environment, service).standing()
    return standing.found(now) if standing else None


def draft(connection: Connection, environment: str, service: str, lock: Lock) -> str:
    """Write the next content of our lock to a temporary file, and return its path. It has no effect until it is
    placed."""
    return _Where(connection, environment, service).beside(NAME, f"{lock.token}.next", lock)[0]


def advance(
    connection: Connection, environment: str, service: str, lock: Lock, *, look: bool, drafted: str | None = None
) -> None:
    """Replace our lock's content atomically, by the draft if there is one; with `look`, check first that it is still
    ours.

    Raises Locked if it has another holder.
    """
    where = _Where(connection, environment, service)
    if look:
        require_ours(connection, environment, service, lock)
    beside = drafted or where.beside(NAME, lock.token, lock)[0]
    files.replace(connection, beside, where.path())


def drop(connection: Connection, drafted: str) -> None:
    """Remove a draft that was not placed."""
    files.remove(connection, drafted)


def release(connection: Connection, environment: str, service: str, lock: Lock, *, look: bool) -> None:
    """Remove our lock; with `look`, check first that it is still ours. Raises Locked if it is not."""
    where = _Where(connection, environment, service)
    if look:
        require_ours(connection, environment, service, lock)
    files.remove(connection, where.path())


def require_ours(connection: Connection, environment: str, service: str, lock: Lock) -> None:
    """Raise Locked unless the lock is still ours."""
    standing = _Where(connection, environment, service).standing()
    if standing is None or standing.token != lock.token:
        raise Locked("the lock is no longer ours: it expired or was broken", host=connection.host.name)


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
    """Replace a dead holder's lock by `lock`; `dead` tells whether a lock's holder is gone. Of several commands one
    succeeds; the others get Locked."""
    where = _Where(connection, environment, service)
    before = found.lock.token if found.lock else ""
    with _guard(where, lock, now, dead):
        again = where.standing()
        if again is None:
            acquire(connection, environment, service, lock)
        elif again.token == before:
            advance(connection, environment, service, lock, look=False)
        else:
            raise Locked("another command took the lock first", host=connection.host.name)


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
    """Take the found lock away from its holder; `mark` says who did. A change in progress stays on record as an
    interrupted deployment. Raises Locked if the lock has another holder by now."""
    take_over(connection, environment, service, found, mark, now=now, dead=dead)
    if mark.phase is Phase.HELD:
        release(connection, environment, service, mark, look=False)


def sweep(
    connection: Connection, environment: str, service: str, *, now: float, dead: Callable[[FoundLock], bool]
) -> None:
    """Remove temporary files of dead processes beside lock and record. The lock must be held."""
    where = _Where(connection, environment, service)
    directory = location.place(connection, environment, service).path
    with explained(connection, directory), contextlib.suppress(FileNotFoundError):
        for name in connection.sftp().listdir(directory):
            if "/" in name:
                continue
            if name.startswith(f"{NAME}.") and _is_left(where, name, now, dead):
                files.remove(connection, where.path(name))
            elif name.startswith(f"{location.RECORD}."):
                files.remove(connection, where.path(name))  # only the holder of the lock writes a record


def _is_left(where: _Where, name: str, now: float, dead: Callable[[FoundLock], bool]) -> bool:
    """Whether a file beside the lock is abandoned.

    A malformed one is nobody's lock: its writer, if it lives, will find that ours exists. Files of a newer relman are
    kept.
    """
    try:
        standing = where.standing(name)
    except PreflightFailed:
        return False
    return standing is not None and (standing.lock is None or dead(standing.found(now)))


@contextlib.contextmanager
def _guard(where: _Where, lock: Lock, now: float, dead: Callable[[FoundLock], bool]) -> Iterator[None]:
    """Ensure that only one command takes over; a dead owner's guard is removed. Raises Locked."""
    ours = replace(lock, intent=None)
    try:
        _create(where, location.TAKEOVER, ours)
    except Locked:
        standing = where.standing(location.TAKEOVER)
        if standing and not dead(standing.found(now)):
            raise
        files.remove(where.connection, where.path(location.TAKEOVER))
        _create(where, location.TAKEOVER, ours)
    try:
        yield
    finally:
        files.remove(where.connection, where.path(location.TAKEOVER))
