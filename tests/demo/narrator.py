"""How the demo is told: text, commands as a user types them, and a check that everything told is true."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH = 100
# Debian's own docker command, whatever else is in the PATH, goes with the engines of the lab.
PROGRAMS = {"relman": [sys.executable, "-m", "relman"], "docker": ["/usr/bin/docker"]}


class Untrue(Exception):
    """The result is not as narrated."""


def say(text: str) -> None:
    """A paragraph for the audience."""
    print(textwrap.fill(" ".join(text.split()), WIDTH), flush=True)


def title(number: int, text: str) -> None:
    """The beginning of a step."""
    print(f"\n{'=' * WIDTH}\n{number}. {text}\n{'=' * WIDTH}", flush=True)


@dataclass(frozen=True)
class Person:
    """A user at a machine: environment variables, directory, and the prefix that runs a command on that machine."""

    env: Mapping[str, str]
    home: Path
    prefix: Sequence[str] = ()

    def types(self, line: str, *, code: int = 0, says: str = "", at: Path | None = None) -> str:
        """Run a command as typed, or two with a pipe between them, show it and its output, and return that. Raises
        Untrue unless it ends with `code` and says `says`."""
        print(f"\n$ {line}", flush=True)
        first, _, second = line.partition(" | ")
        given = self.asks(first) if second else ""
        with self._started(second or first, at, subprocess.STDOUT) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(given)
            process.stdin.close()
            said = "".join(_shown(part) for part in process.stdout)
        if process.returncode != code:
            raise Untrue(f"`{line}` ended with {process.returncode}, not with {code}")
        if says not in said:
            raise Untrue(f"`{line}` did not say {says!r}")
        if code:
            print(f"  (exit code {code})", flush=True)
        return said

    def asks(self, line: str) -> str:
        """What a command says on stdout, without showing it. Raises Untrue if it fails."""
        with self._started(line, None, None) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise Untrue(f"`{line}` ended with {process.returncode}")
        return said

    def _started(self, line: str, at: Path | None, errors: int | None) -> subprocess.Popen[str]:
        program, *arguments = shlex.split(line)
        argv = [*PROGRAMS.get(program, [program]), *arguments]
        return subprocess.Popen(
            [*self.prefix, *argv],
            cwd=at or self.home,
            env={**os.environ, **self.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
        )


def _shown(line: str) -> str:
    print(f"  {line}", end="", flush=True)
    return line
