"""A library's files: their metadata, and whether an index would accept them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relman.ci.library.make import SUFFIXES
from relman.model.errors import BuildFailed, UsageError

_CHECK_SECONDS = 120

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class File:
    """One sdist or wheel. `fields` is its metadata in the form of an upload."""

    path: Path
    sha256: str
    project: str
    version: str
    fields: Fields = field(repr=False, default=())

    @property
    def name(self) -> str:
        """Its file name."""
        return self.path.name


@dataclass(frozen=True)
class Package:
    """All files of one version of a library, the sdist first."""

    project: str
    version: str
    files: tuple[File, ...]

    @property
    def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of every file, by its name."""
        return {file.name: file.sha256 for file in self.files}

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


def require_tools() -> None:
    """Raise UsageError unless twine, which checks a library's files, is installed."""
    if importlib.util.find_spec("twine") is None:
        raise UsageError("a library cannot be released without twine", hint="Install it: pip install 'relman[library]'")


def read_package(directory: Path) -> Package:
    """Read and check the files in `directory`: one sdist and at least one wheel of the same project and version, with
    valid metadata (twine check). Raises BuildFailed."""
    paths = sorted(p for p in directory.iterdir() if p.name.endswith(SUFFIXES))
    files = tuple(_read(path) for path in sorted(paths, key=lambda path: path.suffix == ".whl"))
    wheels = [file for file in files if file.path.suffix == ".whl"]
    if not wheels or len(files) - len(wheels) != 1:
        names = ", ".join(file.name for file in files)
        raise BuildFailed(
            f"a library is one sdist and at least one wheel; the build made {names or 'nothing'}",
            hint="`python3 -m build` makes both. Name dist/ in .dockerignore.",
        )
    said = {(file.project, file.version) for file in files}
    if len(said) != 1:
        details = [f"{file.name}: {file.project} {file.version}" for file in files]
        raise BuildFailed("the library's files are not of the same project and version", details=details)
    _check(paths)
    return Package(files[0].project, files[0].version, files)


def normalized(project: str) -> str:
    """The project's normalized name (https://packaging.python.org/en/latest/specifications/name-normalization/, PEP
    503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _read(path: Path) -> File:
    from twine.exceptions import InvalidDistribution
    from twine.package import PackageFile

    try:
        package = PackageFile.from_filename(str(path), comment=None)
        metadata = dict(package.metadata_dictionary())
    except (InvalidDistribution, OSError, ValueError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise BuildFailed(f"{path.name} is not a valid library file: {error}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fields = tuple((key, text) for key, value in metadata.items() for text in _texts(key, value))
    return File(path, digest, normalized(str(metadata["name"])), str(metadata["version"]), fields)


def _texts(key: str, value: object) -> list[str]:
    """One metadata field in the form of the upload API."""
    if isinstance(value, Mapping):
        return [f"{name}, {url}" for name, url in value.items()]
    if isinstance(value, list | tuple):
        return [", ".join(map(str, value))] if key == "keywords" else [str(item) for item in value]
    return [] if value is None else [str(value)]


def _check(paths: Sequence[Path]) -> None:
    argv = [sys.executable, "-m", "twine", "--no-color", "check", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False)  # noqa: S603
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise BuildFailed("the library's files do not pass twine's check", details=lines[-20:])
