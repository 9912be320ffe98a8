"""Write a stage's outputs and summary to the files that a CI system provides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relman.app.ci.job_summary import summary_of
from relman.config.ci_systems.system import System, as_variable
from relman.model.formats.text import clean

OUTPUT = "RELMAN_OUTPUT"


def tell_system(
    system: System, environ: Mapping[str, str], kind: str, data: Mapping[str, Any], outputs: Mapping[str, str]
) -> None:
    """Write a stage's summary and outputs to the CI system's files, and the outputs to the file RELMAN_OUTPUT, which is
    overwritten. Raises OSError."""
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
