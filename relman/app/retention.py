"""How long relman keeps files of earlier runs below the data directory."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

DAY = 86400.0
_LIBRARIES = 20
_LIBRARY_DAYS = 30.0
_UNFINISHED_DAYS = 1.0


def outlived(times: Mapping[str, float], now: float, *, most: int, days: float) -> list[str]:
    """The names, each with its time in seconds since the epoch, that are neither among the newest `most` nor younger
    than `days`. Pure."""
    newest_first = sorted(times, key=lambda name: times[name], reverse=True)
    return [name for name in newest_first[most:] if times[name] < now - days * DAY]


def sweep_libraries(directory: Path, now: float | None = None) -> None:
    """Remove old library files from `directory`, which has a subdirectory for each, and leftovers of dead processes.
    Files that cannot be removed stay."""
    now = time.time() if now is None else now
    with contextlib.suppress(OSError):
        times = {path.name: path.stat().st_mtime for path in directory.iterdir() if path.is_dir()}
        unfinished = {name: at for name, at in times.items() if name.startswith(".")}
        finished = {name: at for name, at in times.items() if name not in unfinished}
        old = outlived(finished, now, most=_LIBRARIES, days=_LIBRARY_DAYS)
        for name in (*old, *outlived(unfinished, now, most=0, days=_UNFINISHED_DAYS)):
            shutil.rmtree(directory / name, ignore_errors=True)
