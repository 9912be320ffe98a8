"""The lock: STATE/ENVIRONMENT/SERVICE/lock.json on the host itself, which is at once the intent of what comes next.

It comes into being whole: written beside, then renamed with SFTP's own rename, which in OpenSSH refuses an existing
target (draft-ietf-secsh-filexfer-02, 6.5). Its age is the file's, by the host's clock. What remains of a race: a holder
that was asleep for longer than its time to live and wakes between its last look at the file and its next change, and
two who find the guard of the same dead taker-over in the same moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import Locked, PreflightFailed
from relman.model.reading import Misread, Newer, parse
from relman.model.record import FoundLock, Lock, Phase

NAME = location.LOCK


@dataclass(frozen=True)
class _Where:
    """A service's directory on one host, and how its locks are read and written there."""

    connection: Connection
    environment: str
    service: str

    def path(self, name: str = NAME) -> str:
        """The path of a file in it. Raises what `state.place` raises."""
        return location.place(self.connection, self.environment, self.service).of(name)

    def beside(self, name: str, token: str, lock: Lock) -> tuple[str, str]:
        """Write a lock beside the file `name`; gives that path and the file's own."""
        data = files.encode(lock.to_json())
        return files.write_beside(self.connection, self.environment, self.service, name, token, data)

    def standing(self, name: str = NAME) -> _Standing | None:
        """The lock that the file holds. Raises PreflightFailed where a newer relman wrote it."""
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
    """A lock's file: what it says, None where that makes no sense, and when it was written, by the host's clock."""

    lock: Lock | None
    written: float

    @property
    def token(self) -> str:
        """Whose it is."""
        return self.lock.token if self.lock else ""

    def found(self, now: float) -> FoundLock:
        """As seen at a time of the host's clock."""
        return FoundLock(self.lock, max(0.0, now - self.written))


def acquire(connection: Connection, environment: str, service: str, lock: Lock) -> None:
    """Create the lock. Raises Locked when there is one, PreflightFailed where the directory cannot be written."""
    _create(_Where(connection, environment, service), NAME, lock)


def _create(where: _Where, name: str, lock: Lock) -> None:
    beside, path = where.beside(name, lock.token, lock)
    sftp, said = where.connection.sftp(), ""
    with explained(where.connection, path):
        for _ in range(2):  # once more where the lock that was in the way has just been let go of
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
    """The lock as it stands, or None; `now` is the host's clock in seconds since the epoch. Raises PreflightFailed
    where a newer relman wrote it: this one cannot tell what it says."""
    standing = _Where(connection, environment, service).standing()
    return standing.found(now) if standing else None


def draft(connection: Connection, environment: str, service: str, lock: Lock) -> str:
    """Write what our lock is to say next beside it, and return that file's name. It counts only once it is placed."""
    return _Where(connection, environment, service).beside(NAME, f"{lock.token}.next", lock)[0]


def advance(
    connection: Connection, environment: str, service: str, lock: Lock, *, look: bool, drafted: str | None = None
) -> None:
    """Replace our lock's content in one atomic step, by the draft if there is one; with `look` only after seeing that
    it still is ours.

    Raises Locked when it has become somebody else's.
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
    """Remove our lock; with `look` only after seeing that it still is ours. Raises Locked when it is not."""
    where = _Where(connection, environment, service)
    if look:
        require_ours(connection, environment, service, lock)
    files.remove(connection, where.path())


def require_ours(connection: Connection, environment: str, service: str, lock: Lock) -> None:
    """Raise Locked unless the lock still is ours."""
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
    """Put `lock` in the place of a dead holder's; `dead` tells whether the holder of a lock is gone. Of several comers
    one succeeds; the others get Locked."""
    where = _Where(connection, environment, service)
    before = found.lock.token if found.lock else ""
    with _guard(where, lock, now, dead):
        again = where.standing()
        if again is None:
            acquire(connection, environment, service, lock)
        elif again.token == before:
            advance(connection, environment, service, lock, look=False)
        else:
            raise Locked("is locked by someone who came first", host=connection.host.name)


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
    """Whether nobody wants a file beside the lock any more. Half written, it is nobody's lock: who still writes it
    finds that ours stands. A newer relman's own is left to a newer one."""
    try:
        standing = where.standing(name)
    except PreflightFailed:
        return False
    return standing is not None and (standing.lock is None or dead(standing.found(now)))


@contextlib.contextmanager
def _guard(where: _Where, lock: Lock, now: float, dead: Callable[[FoundLock], bool]) -> Iterator[None]:
    """Be the only one who takes over; a guard whose owner died is removed."""
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
