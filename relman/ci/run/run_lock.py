"""A lock for a run, because two processes with the same run name would remove each other's containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relman.ci.engine.containers import object_name
from relman.local import file_lock
from relman.model.errors import Locked, StorageFailed
from relman.model.run import RunName


@contextmanager
def alone(run: RunName, directory: Path) -> Iterator[None]:
    """Hold the run's lock on this machine; the kernel releases the lock file in `directory` if the process dies.

    Raises Locked if another process holds it, StorageFailed if the file cannot be written.
    """
    with _translated(run, directory) as file:
        lock = file_lock.take(file)
    if lock is None:
        raise Locked(
            f"another process on this machine is working on run {run} of {run.service}",
            hint="Give every build a number of its own, and each copy of a parallel job its own RELMAN_MATRIX.",
        )
    with lock:
        yield


def at_work(run: RunName, directory: Path) -> bool:
    """Whether a process holds the run's lock. Raises StorageFailed."""
    with _translated(run, directory) as file:
        return file_lock.is_held(file)


@contextmanager
def _translated(run: RunName, directory: Path) -> Iterator[Path]:
    """The lock file of a run; raises the system's errors as StorageFailed."""
    file = directory / f"{object_name(run)}.lock"
    try:
        yield file
    except OSError as error:
        raise StorageFailed(
            f"cannot write {file}: {error.strerror}", hint="RELMAN_DATA_DIR names another place."
        ) from error
