"""Keep a report of a bug in relman: a file on this machine that only its user can read."""

from __future__ import annotations

import contextlib
import os
import platform
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from relman import __version__
from relman.model.errors import InternalError
from relman.model.formats.mask import NOTHING, Mask

_MOST = 20


def keep(error: BaseException, environ: Mapping[str, str], mask: Mask = NOTHING) -> Path | None:
    """Write a report of an InternalError and return the file; None for any other error, or if it cannot be written.

    The command line is not included, because it may contain values of build arguments; nor is what `mask` hides.
    """
    if not isinstance(error, InternalError):
        return None
    from relman.local.directories import data_directory

    directory = data_directory(environ) / "faults"
    lines = [f"relman {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    text = "\n".join((*lines, "", *traceback.format_exception(error)))
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = directory / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.txt"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(mask(text))
        for old in sorted(directory.glob("*.txt"))[:-_MOST]:
            old.unlink(missing_ok=True)
        return file
    return None
