"""The command line as a user meets it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import forks
from tests.lab.process import patience


def argv(*arguments: str) -> list[str]:
    """The command line of `relman ARGUMENTS`."""
    return [sys.executable, "-m", "relman", *arguments]


def environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables without relman's own and proxies, and `extra`."""
    inherited = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("RELMAN_") and not k.lower().endswith("_proxy") and k not in ("NO_COLOR", "COLUMNS")
    }
    return inherited | dict(extra or {})


def relman(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `relman ARGUMENTS` to its end, with no terminal."""
    return forks.run("relman", *arguments, cwd=cwd, env=environ(env), timeout=60 * patience())


def python(code: str, *arguments: str) -> Sequence[str]:
    """The command line of a Python program."""
    return [sys.executable, "-c", code, *arguments]
