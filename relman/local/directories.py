"""Where programs keep their own files on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def data_directory(environ: Mapping[str, str]) -> Path:
    """relman's: RELMAN_DATA_DIR, or else the user's data directory (XDG Base Directory Specification)."""
    from platformdirs import user_data_dir

    return Path(environ.get("RELMAN_DATA_DIR") or user_data_dir("relman"))


def docker_config_directory(environ: Mapping[str, str]) -> Path:
    """The docker CLI's, with logins and plugins: DOCKER_CONFIG, or else ~/.docker."""
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
