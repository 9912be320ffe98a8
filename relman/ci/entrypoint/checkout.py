"""Judge the ENTRYPOINT in a checkout, before a build: from its Dockerfile and scripts."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from relman.ci.dockerfile import copies, entrypoint_of
from relman.ci.entrypoint.judge import Reader, unseen

_SKIPPED = ("node_modules", "vendor")


def unseen_here(dockerfile: str, context: Path, target: str | None = None) -> tuple[tuple[str, ...], str]:
    """The ENTRYPOINT in a Dockerfile, and why it is not known to start test commands; both empty if the Dockerfile sets
    none (the base image may)."""
    entrypoint = entrypoint_of(dockerfile, target)
    return entrypoint, unseen(entrypoint, _scripts(context, copies(dockerfile)))


def _scripts(context: Path, copied: Mapping[str, str]) -> Reader:
    """Read a program of the image from the file that is copied there, or from a file of the same name."""

    def read(name: str) -> bytes | None:
        named = context / copied[name].lstrip("/") if name in copied else None
        file = named if named and named.is_file() else _like(context, name)
        try:
            return file.read_bytes() if file else None
        except OSError:
            return None

    return read


def _like(context: Path, name: str) -> Path | None:
    """The file of that name whose parent directories are most similar to those in the image."""

    def alike(file: Path) -> tuple[int, int]:
        ours, theirs = file.parts[::-1], tuple(filter(None, name.split("/")))[::-1]
        same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
        return same, -len(ours)

    return max(_named(context, posixpath.basename(name)), key=alike, default=None)


def _named(context: Path, name: str) -> Iterator[Path]:
    for directory, below, files in os.walk(context):
        below[:] = [each for each in below if not each.startswith(".") and each not in _SKIPPED]
        if name in files:
            yield Path(directory) / name
