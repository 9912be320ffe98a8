"""Error annotations in the log of a CI system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from relman.config.ci_systems.system import System
from relman.model.errors import ConfigError, RelmanError
from relman.model.formats.text import clean

_MOST = 10  # GitHub's limit of error annotations for one step


def marks_of(system: System, error: RelmanError, environ: Mapping[str, str]) -> Iterator[str]:
    """The annotations for an error, with its position in a file if it has one; none if the system has no
    annotations."""
    if isinstance(error, ConfigError):
        made = [
            system.annotate(clean(p.message), _from(environ.get(system.workspace, ""), p.file), p.line, p.column)
            for p in error.problems[:_MOST]
        ]
    else:
        made = [system.annotate(clean("\n".join((str(error), *error.details))), "", 0, 0)]
    yield from filter(None, made)


def _from(workspace: str, file: str) -> str:
    """The path relative to the system's workspace."""
    path = Path(file).resolve()
    return os.path.relpath(path, workspace) if workspace and path.is_relative_to(workspace) else file
