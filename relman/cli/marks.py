"""Errors as marks in the log of a CI system, and outputs and summaries in its files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relman.ci.systems.job_summary import summary_of
from relman.ci.systems.system import System, as_variable
from relman.cli.text import clean
from relman.model.errors import ConfigError, RelmanError

_MOST = 10  # a system shows no more of one step
OUTPUT = "RELMAN_OUTPUT"


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


def tell_system(
    system: System, environ: Mapping[str, str], kind: str, data: Mapping[str, Any], outputs: Mapping[str, str]
) -> None:
    """Write a stage's summary and outputs where the system wants them; `RELMAN_OUTPUT` names a further file for
    outputs, which is written anew. Raises OSError."""
    if (file := environ.get(system.summary)) and (text := summary_of(kind, data)):
        _append(file, clean(text))
    if not outputs:
        return
    if file := environ.get(system.outputs):
        _append(file, "".join(f"{system.output(name, clean(value))}\n" for name, value in outputs.items()))
    if file := environ.get(OUTPUT):
        lines = (f"{as_variable(name, clean(value))}\n" for name, value in outputs.items())
        Path(file).write_text("".join(lines), encoding="utf-8")


def _append(file: str, text: str) -> None:
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write(text)
