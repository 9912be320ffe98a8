"""A lock for a run, because two processes with the same run name would remove each other's containers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relman.ci.engine.containers import object_name
from relman.model.errors import Locked, StorageFailed
from relman.model.run import RunName


@contextmanager
def alone(run: RunName, directory: Path) -> Iterator[None]:
    """Hold the run's lock on this machine; the kernel releases the lock file in `directory` if the process dies.

    Raises Locked if another process holds it, StorageFailed if the file cannot be written.
    """
    with _opened(run, directory) as handle:
        if not _taken(handle):
            raise Locked(
                f"another process on this machine is working on run {run} of {run.service}",
                hint="Give every build a number of its own, and each copy of a parallel job its own RELMAN_MATRIX.",
            )
        yield


def at_work(run: RunName, directory: Path) -> bool:
    """Whether a process holds the run's lock. Raises StorageFailed."""
    with _opened(run, directory) as handle:
        return not _taken(handle)


@contextmanager
def _opened(run: RunName, directory: Path) -> Iterator[int]:
    file = directory / f"{object_name(run)}.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {file}: {error.strerror}", hint="RELMAN_DATA_DIR names another place."
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
