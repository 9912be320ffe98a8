"""Locks between processes of this machine (flock(2)), which end with the file or the process that holds them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Any


def wait_for(file: IO[Any]) -> None:
    """Lock an open file until it is closed, waiting for whoever holds it. Raises OSError."""
    fcntl.flock(file, fcntl.LOCK_EX)


def take(path: Path) -> IO[bytes] | None:
    """Lock a file, which is made with its directory where it is not there, until the result is closed; None where it
    is held already. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    if _is_free(file, fcntl.LOCK_EX):
        return file
    file.close()
    return None


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock of a file, which need not be there. Raises OSError."""
    try:
        with path.open("rb") as file:
            return not _is_free(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _is_free(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
