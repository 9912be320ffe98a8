"""The packages of requirements.lock as files, with which a test installs relman as its user does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab.layout import LabError
from tests.lab.packages import may_download
from tests.lab.process import locked

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"


def fetch() -> Path:
    """The directory of the files, downloaded once for each state of the lock and kept under RELMAN_CACHE (default
    ~/.cache/relman-lab). Raises LabError."""
    cache = Path(os.environ.get("RELMAN_CACHE") or Path.home() / ".cache" / "relman-lab")
    place = cache / f"wheels-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "wheels.lock"):
        if not place.exists():
            may_download("the packages of requirements.lock")
            unfinished = Path(tempfile.mkdtemp(dir=cache))
            argv: list[str | Path] = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-qq",
                "--require-hashes",
                "-r",
                LOCK,
                "-d",
                unfinished,
            ]
            if subprocess.run(argv, check=False).returncode:
                raise LabError("pip cannot download the packages of requirements.lock: its words are above")
            unfinished.rename(place)
    return place
