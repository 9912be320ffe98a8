"""What git says of a checkout on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class LoggedCommit:
    """A commit that one of two revisions has and the other has not: it is `new` if the second one has it."""

    revision: str
    subject: str
    new: bool


def ask(root: Path, *arguments: str) -> str:
    """What git prints without its final line end; "" if it refuses, takes longer than 60 s or is not installed."""
    argv = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def commits_between(root: Path, old: str, new: str) -> Sequence[LoggedCommit] | None:
    """The commits that only one of two revisions has, newest first; None unless the checkout at `root` has both with
    their whole history."""
    if not (_REVISION.fullmatch(old) and _REVISION.fullmatch(new)):
        return None
    if old == new:
        return ()
    if ask(root, "rev-parse", "--is-shallow-repository") != "false":
        return None
    log = ("-c", "log.showSignature=false", "log", "--left-right", "--format=%m %H %s")
    lines = ask(root, *log, f"{old}...{new}", "--").split("\n")
    return [_logged(line) for line in lines] if lines != [""] else None


def _logged(line: str) -> LoggedCommit:
    side, revision, subject = f"{line} ".split(" ", 2)
    return LoggedCommit(revision, subject.rstrip(), side == ">")
