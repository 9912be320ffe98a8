"""Which files of a host relman trusts: as sshd trusts a user's authorized_keys (auth_secure_path in OpenSSH's misc.c).

Every level, from the root on, belongs to root or to the SSH user, and nobody else may write to it; none is a link. A
directory that its group may write to and that has the setgid bit is a team's: below it every owner counts whose file
has that group. Nobody but those who are trusted can then put anything there, or anything else in its place. Pure.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass

_ROOT = 0


@dataclass(frozen=True)
class Level:
    """What lstat says of one level of a path: numeric owner and group, and the mode with the file's type."""

    path: str
    uid: int
    gid: int
    mode: int

    @property
    def is_team(self) -> bool:
        """Whether its group shares it."""
        return stat.S_ISDIR(self.mode) and bool(self.mode & stat.S_ISGID and self.mode & stat.S_IWGRP)


class Untrusted(Exception):
    """A level is not to be trusted; `mend` is the command that makes it good, "" where another directory is wanted."""

    def __init__(self, level: Level, what: str, mend: str = "") -> None:
        super().__init__(f"{level.path} {what}")
        self.level = level
        self.mend = mend


@dataclass(frozen=True)
class Judge:
    """Whom to trust: root, and the `user` of the number `uid` (None where the host does not say: root alone). `top` is
    relman's own directory: what is above it is not its to give to anybody."""

    user: str
    uid: int | None
    top: str

    def directories(self, levels: Sequence[Level], team: int | None = None) -> int | None:
        """The group of the team whose directory the last level is or lies in, None without one. `team` is the group of
        the one that the first level lies in. Raises Untrusted."""
        for level in levels:
            if stat.S_ISLNK(level.mode):
                raise Untrusted(level, "is a link", f"rm {level.path}" if self._below(level) else "")
            if not stat.S_ISDIR(level.mode):
                raise Untrusted(level, "is not a directory", f"rm {level.path}" if self._below(level) else "")
            self._check(level, team)
            team = level.gid if level.is_team else team if level.gid == team else None
        return team

    def may_add_to(self, level: Level, team: int | None) -> bool:
        """Whether the user may make something in a directory, as far as it can be told without trying."""
        if self.uid in (_ROOT, None):
            return True
        if level.uid == self.uid:
            return bool(level.mode & stat.S_IWUSR)
        return team is not None and level.gid == team

    def file(self, level: Level, team: int | None) -> None:
        """Raise Untrusted unless it is a file to be trusted; `team` is the group of the directory that it lies in."""
        if not stat.S_ISREG(level.mode):
            raise Untrusted(level, "is a link" if stat.S_ISLNK(level.mode) else "is not a file", f"rm -r {level.path}")
        self._check(level, team)

    def _check(self, level: Level, team: int | None) -> None:
        of_the_team = team is not None and level.gid == team
        if not of_the_team and level.uid not in (_ROOT, self.uid):
            what = f"belongs to {self._who(level)} ({_octal(level)}), not to {self._trusted}"
            own = level.path == self.top or self._below(level)
            raise Untrusted(level, what, f"chown -R {self.user}: {level.path}" if own else "")
        if level.mode & stat.S_IWOTH:
            mend = "" if level.mode & stat.S_ISVTX else f"chmod go-w {level.path}"
            raise Untrusted(level, f"is writable by everyone ({self._who(level)}, {_octal(level)})", mend)
        if level.mode & stat.S_IWGRP and not (of_the_team or level.is_team):
            what = f"is writable by its group {level.gid} ({self._who(level)}, {_octal(level)})"
            raise Untrusted(level, what, f"chmod g-w {level.path}")

    @property
    def _trusted(self) -> str:
        if self.uid is None:
            return f"root (the host does not say which number {self.user} has)"
        return f"root or {self.user}" if self.uid != _ROOT else "root"

    def _below(self, level: Level) -> bool:
        return level.path.startswith(f"{self.top}/")

    def _who(self, level: Level) -> str:
        names = {self.uid: self.user, _ROOT: "root"}
        return names.get(level.uid, f"user {level.uid}")


def _octal(level: Level) -> str:
    return f"mode {stat.S_IMODE(level.mode):04o}"
