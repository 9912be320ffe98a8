"""Files of a service's repository that travel with its image: read from nowhere else, whatever relman.yml names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relman.config.yaml_document import KeyPath
from relman.model.errors import ConfigError, Problem
from relman.model.service import Service


def sections(service: Service) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """The sections that may name files: deploy and its processes, each with its path."""
    yield ("deploy",), service.deploy
    for name, process in service.deploy.get("processes", {}).items():
        yield ("deploy", "processes", name), process


def fault(root: str, file: str, largest: int) -> str:
    """Why a file below `root` of at most `largest` bytes is not read; "" if it is."""
    try:
        _content(root, file, largest)
    except ValueError as error:
        return str(error)
    return ""


def read(root: str, file: str, largest: int) -> bytes:
    """A file below `root` of at most `largest` bytes. Raises ConfigError."""
    try:
        return _content(root, file, largest)
    except ValueError as error:
        raise ConfigError([Problem(file, 0, 0, "", str(error))]) from None


def _content(root: str, file: str, largest: int) -> bytes:
    parts = Path(file).parts
    if Path(file).is_absolute() or {"..", ".git"} & set(parts) or not parts:
        raise ValueError(f"expected a path below the directory of relman.yml, and not in .git, found {file}")
    try:
        opened = _opened(root, parts)
    except OSError:
        if any(Path(root, *parts[: n + 1]).is_symlink() for n in range(len(parts))):
            said = f"{file} is a link, or below one: what is read must be in the repository itself"
            raise ValueError(said) from None
        raise ValueError(f"there is no file {file}") from None
    with os.fdopen(opened, "rb") as handle:
        content = handle.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"{file} is larger than {largest >> 10} KiB")
    return content


def _opened(root: str, parts: tuple[str, ...]) -> int:
    """A descriptor of the file; no level below the root may be a link, not even for a moment."""
    above = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
        # a named pipe would keep it waiting
        found = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
    finally:
        os.close(above)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(parts[-1])
    return found
