"""The machine on which CI jobs run: its engine builds and tests, its network reaches its containers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker

from tests.lab import files, forks
from tests.lab.layout import CI_OCTET, Layout
from tests.lab.machine import Machine
from tests.lab.registry import Registry


class CI:
    """A lab machine, and a way to run commands in its network on the real file system."""

    def __init__(self, layout: Layout, registry: Registry) -> None:
        self.machine = Machine(layout, "ci", CI_OCTET)
        self._layout = layout
        self._registry = registry

    def run(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` as a CI job would, in this process's environment, the lab's variables and `env`.

        The exit code is the caller's to judge.
        """
        variables = os.environ | files.environment(self._layout, self._registry) | dict(env or {})
        return subprocess.run(
            [*self.prefix, *argv], cwd=cwd, env=variables, capture_output=True, text=True, errors="replace"
        )

    def relman(self, *arguments: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run relman likewise."""
        variables = os.environ | files.environment(self._layout, self._registry) | dict(env)
        return forks.run("relman", *arguments, cwd=cwd, env=variables, network=self.machine.network)

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in the CI machine's network."""
        return self.machine.prefix

    def engine(self, timeout: int = 60) -> docker.APIClient:
        """Return a client on its engine; close it after use."""
        return self.machine.engine(timeout)
