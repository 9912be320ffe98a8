"""Errors as marks in the log of a CI system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from relman.config.ci_systems.system import System
from relman.model.errors import ConfigError, RelmanError
from relman.model.text import clean

_MOST = 10  # a system shows no more of one step


def marks_of(system: System, error: RelmanError, environ: Mapping[str, str]) -> Iterator[str]:
    """The marks for an error, at its place in a file where it has one; none where the system has no such thing."""
    if isinstance(error, ConfigError):
        made = [
            system.annotate(clean(p.message), _from(environ.get(system.workspace, ""), p.file), p.line, p.column)
            for p in error.problems[:_MOST]
        ]
    else:
        made = [system.annotate(clean("\n".join((str(error), *error.details))), "", 0, 0)]
    yield from filter(None, made)


def _from(workspace: str, file: str) -> str:
    """The path as the system knows it: relative to its workspace."""
    path = Path(file).resolve()
    return os.path.relpath(path, workspace) if workspace and path.is_relative_to(workspace) else file
