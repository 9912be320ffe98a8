"""Decide which files of a host are trusted, as sshd does for authorized_keys. Pure.

Compare safe_path in OpenSSH (https://github.com/openssh/openssh-portable/blob/master/misc.c). Every level of the path,
from the root, is owned by root or the SSH user, is writable by nobody else, and is not a link. A directory with the
setgid bit that its group may write to is a team's: in it, any owner is trusted if the file has that group. So only
trusted users can create or replace anything.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass

_ROOT = 0


@dataclass(frozen=True)
class Level:
    """The lstat of one level of a path: numeric owner and group, and the mode with the file type."""

    path: str
    uid: int
    gid: int
    mode: int

    @property
    def is_team(self) -> bool:
        """Whether it is a directory that its group shares."""
        return stat.S_ISDIR(self.mode) and bool(self.mode & stat.S_ISGID and self.mode & stat.S_IWGRP)


class Untrusted(Exception):
    """A level is not trusted; `fix` is the command that corrects it, "" if another directory is needed."""

    def __init__(self, level: Level, what: str, fix: str = "") -> None:
        super().__init__(f"{level.path} {what}")
        self.level = level
        self.fix = fix


@dataclass(frozen=True)
class Judge:
    """The trusted users: root, and `user` with the number `uid` (None if unknown: only root). `top` is relman's own
    directory: no command is suggested that changes the owner of anything above it."""

    user: str
    uid: int | None
    top: str

    def directories(self, levels: Sequence[Level], team: int | None = None) -> int | None:
        """The group of the team that shares the last level, None without one; `team` is that of the first level's
        parent.

        Raises Untrusted.
        """
        for level in levels:
            if stat.S_ISLNK(level.mode):
                raise Untrusted(level, "is a link", f"rm {level.path}" if self._below(level) else "")
            if not stat.S_ISDIR(level.mode):
                raise Untrusted(level, "is not a directory", f"rm {level.path}" if self._below(level) else "")
            self._check(level, team)
            team = level.gid if level.is_team else team if level.gid == team else None
        return team

    def may_add_to(self, level: Level, team: int | None) -> bool:
        """Whether the user may create something in a directory, as far as its mode tells."""
        if self.uid in (_ROOT, None):
            return True
        if level.uid == self.uid:
            return bool(level.mode & stat.S_IWUSR)
        return team is not None and level.gid == team

    def file(self, level: Level, team: int | None) -> None:
        """Raise Untrusted unless it is a trusted file; `team` is the group of its directory."""
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
            fix = "" if level.mode & stat.S_ISVTX else f"chmod go-w {level.path}"
            raise Untrusted(level, f"is writable by everyone ({self._who(level)}, {_octal(level)})", fix)
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
