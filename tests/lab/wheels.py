"""The packages of a lock as files, with which tests install relman as its user and its developer do."""

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

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def fetch(name: str = "requirements.lock") -> Path:
    """The directory of the files, downloaded once for each state of the lock and kept under RELMAN_CACHE (default
    ~/.cache/relman-lab). Raises LabError."""
    cache = Path(os.environ.get("RELMAN_CACHE") or Path.home() / ".cache" / "relman-lab")
    place = cache / f"wheels-{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "wheels.lock"):
        if not place.exists():
            may_download(f"the packages of {name}")
            unfinished = Path(tempfile.mkdtemp(dir=cache))
            argv: list[str | Path] = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-qq",
                "--require-hashes",
                "-r",
                ROOT / name,
                "-d",
                unfinished,
            ]
            if subprocess.run(argv, check=False).returncode:
                raise LabError(f"pip cannot download the packages of {name}: its words are above")
            unfinished.rename(place)
    return place
