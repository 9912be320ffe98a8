"""Paths of the state directory on a host, whose trust is checked once per connection (ownership.py)."""

from __future__ import annotations

import contextlib
import posixpath
import stat
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

from paramiko import SFTPAttributes

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir.ownership import Judge, Level, Untrusted
from relman.hosts.state_dir.sftp_errors import explained, refused
from relman.model.errors import PreflightFailed

RECORD = "record.json"
LOCK = "lock.json"
TAKEOVER = "lock.json.takeover"
JOURNAL = "journal.jsonl"
OLD_JOURNAL = "journal.jsonl.1"
SECRETS = "secrets"
FILES = "files"
_SETS = (SECRETS, FILES)
_FILES = (RECORD, LOCK, TAKEOVER, JOURNAL, OLD_JOURNAL)
# Its owner is the effective user of the process that looks it up, even if that is not dumpable, like sftp-server
# (task_dump_owner in fs/proc/base.c), and only root could mount anything over it. So lstat reveals the SSH user's uid.
_MYSELF = "/proc/self/."


@dataclass(frozen=True)
class StateDirectory:
    """A trusted directory of relman's on a host. `team` is whether its group shares it; `missing` are those levels that
    do not exist yet, outermost first; `closed` is whether the user may not create anything in the existing ones;
    `sets` are those of the directories SECRETS and FILES that it has."""

    path: str
    team: bool
    missing: tuple[str, ...] = ()
    closed: bool = False
    sets: tuple[str, ...] = ()

    def of(self, name: str) -> str:
        """The path of a file in it."""
        return posixpath.join(self.path, name)

    @property
    def file_mode(self) -> int:
        """The mode of relman's files in it."""
        return 0o660 if self.team else 0o600


@dataclass
class _Known:
    """The checked places of one connection."""

    mutex: threading.Lock = field(default_factory=threading.Lock)
    places: dict[tuple[str, ...], StateDirectory] = field(default_factory=dict)


_KNOWN: weakref.WeakKeyDictionary[Connection, _Known] = weakref.WeakKeyDictionary()
_MUTEX = threading.Lock()


def place(connection: Connection, environment: str, *service: str, fresh: bool = False) -> StateDirectory:
    """The directory of a service in an environment or, without a service, of the environment.

    It is checked in one round trip, once per connection: later content of a trusted directory was put there by trusted
    users. With `fresh` it is checked again. Raises PreflightFailed, with the command that corrects it, if a level is
    not trusted, and Unreachable.
    """
    for name in (environment, *service):
        if not name or "/" in name or name.startswith("."):
            raise PreflightFailed(f"{name!r} cannot be a directory's name", host=connection.host.name)
    with _MUTEX:
        known = _KNOWN.setdefault(connection, _Known())
    with known.mutex:
        if fresh or (environment, *service) not in known.places:
            names = (environment, *service)
            known.places[names] = connection.lasting(lambda: _look(connection, names))
        return known.places[environment, *service]


def require_room(connection: Connection, environment: str, service: str) -> None:
    """Raise PreflightFailed, with the command that corrects it, unless relman's files can be written there.

    Nothing is created. Raises what `place` raises.
    """
    found = place(connection, environment, service)
    if found.closed:
        raise refused(connection, next(iter(found.missing), found.path))


def make(connection: Connection, environment: str, service: str) -> StateDirectory:
    """The directory of a service, created if necessary with mode 0700, or 2770 if a team shares it.

    Raises what `place` raises, and PreflightFailed if it cannot be created.
    """
    found = place(connection, environment, service, fresh=True)
    if not found.missing:
        return found
    sftp = connection.sftp()
    with explained(connection, found.path):
        for level in found.missing:
            try:
                sftp.mkdir(level, 0o770 if found.team else 0o700)
            except (PermissionError, FileNotFoundError) as error:
                raise refused(connection, level) from error
            except TimeoutError:
                raise
            except OSError:  # a concurrent command may have created it; it is checked below
                if sftp.lstats([level]) == [None]:
                    raise
                continue
            if found.team:
                sftp.chmod(level, 0o2770)  # the umask may have removed the group's permission
    return place(connection, environment, service, fresh=True)


def _look(connection: Connection, names: Sequence[str]) -> StateDirectory:
    top = posixpath.normpath(f"/{connection.host.state_dir.lstrip('/')}")
    path = posixpath.join(top, *names)
    files = [posixpath.join(path, name) for name in _FILES] if len(names) > 1 else []
    levels, kept = _levels(path), [posixpath.join(path, name) for name in _SETS] if len(names) > 1 else []
    with explained(connection, path):
        (myself, *found) = connection.sftp().lstats([_MYSELF, *levels, *files, *kept])
    judge = Judge(connection.host.endpoint.user, myself.st_uid if myself else None, top)
    there = [_level(connection, p, a) for p, a in zip(levels, found, strict=False) if a]
    below = zip((*files, *kept), found[len(levels) :], strict=True)
    inside = {p: _level(connection, p, a) for p, a in below if a}
    try:
        team = judge.directories(there)
        for each in files:
            if each in inside:
                judge.file(inside[each], team)
        judge.directories([inside[each] for each in kept if each in inside], team)
    except Untrusted as error:
        raise _refusal(connection, top, error) from error
    closed = bool(there) and not judge.may_add_to(there[-1], team)
    sets = tuple(posixpath.basename(each) for each in kept if each in inside)
    return StateDirectory(path, team is not None, tuple(levels[len(there) :]), closed, sets)


def _levels(path: str) -> list[str]:
    """The path and all its parents, outermost first."""
    found = [path]
    while found[0] != "/":
        found.insert(0, posixpath.dirname(found[0]))
    return found


def _level(connection: Connection, path: str, said: SFTPAttributes) -> Level:
    if said.st_uid is None or said.st_gid is None or said.st_mode is None:
        raise PreflightFailed(f"SFTP does not say who owns {path}", host=connection.host.name)
    return Level(path, said.st_uid, said.st_gid, said.st_mode)


def _refusal(connection: Connection, top: str, error: Untrusted) -> PreflightFailed:
    host, user = connection.host.name, connection.host.endpoint.user
    if error.fix:
        hint = f"on {host}, as root, once you have seen what is there: {error.fix}"
    elif stat.S_ISLNK(error.level.mode) and (real := _real(connection, top)):
        hint = f"set relman_state_dir to the real path: {real}"
    else:
        hint = f"set relman_state_dir to a directory that, with all above it, only root and {user} may change"
    return PreflightFailed(f"{error}", host=host, hint=hint)


def _real(connection: Connection, path: str) -> str:
    with explained(connection, path), contextlib.suppress(FileNotFoundError):
        return connection.sftp().normalize(path) or ""
    return ""
