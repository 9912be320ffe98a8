"""Read result files from a container that has ended."""

from __future__ import annotations

import fnmatch
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, cast

from relman.ci.engine.containers import State
from relman.ci.engine.copy_out import archive
from relman.ci.results.junit import OtherXml, read_junit
from relman.ci.results.junit_xml import BadResults
from relman.docker.client import Client
from relman.model.errors import NotFound
from relman.model.test_cases import Findings

CLOCK_SLACK = 2.0  # seconds: file times are whole seconds, and the clock may be adjusted during a command
MAX_BYTES = 32 << 20
MAX_FILES = 2000


def read_results(client: Client, container: str, ended: State, paths: Iterable[str]) -> Findings:
    """The merged findings of the JUnit XML files at `paths`, relative to the container's working directory.

    A path is a file, a pattern in its last part, or a directory, of which all *.xml files that are JUnit XML count.
    Raises BadResults if one is missing, unreadable, too large, or older than the container, because a file from the
    image says nothing about this run; EngineError or Unreachable.
    """
    return Findings.together(f for path in paths for f in _read(client, container, ended, path))


def _read(client: Client, container: str, ended: State, path: str) -> list[Findings]:
    directory, pattern = posixpath.split(path)
    wanted = _Wanted(directory, pattern) if set(pattern) & set("*?[") else _Wanted(path)
    place = posixpath.join(ended.directory, wanted.place)
    try:
        with archive(client, f"cannot read {path} out of the container", container, place) as stream:
            found = _found(_Bounded(stream.file, path), wanted, ended)
    except NotFound:
        raise BadResults(f"{path} is not there: the command wrote no results") from None
    if isinstance(found, tarfile.TarError):
        raise BadResults(f"{path} cannot be read out of the container: {found}") from None
    if isinstance(found, BadResults):
        raise found
    if not found:
        where = f"there is no {path}" if wanted.pattern else f"{path} has no file named *.xml"
        raise BadResults(f"{where} that is JUnit XML")
    return found


def _found(stream: _Bounded, wanted: _Wanted, ended: State) -> list[Findings] | BadResults | tarfile.TarError:
    """The findings in the files, or the error in them, which is not the engine's fault."""
    try:
        return list(_in_archive(stream, wanted, ended))
    except (BadResults, tarfile.TarError) as error:
        return error


@dataclass(frozen=True)
class _Wanted:
    """A path in the container: a file, or a directory whose direct files match `pattern`, or without one, all *.xml in
    it and below."""

    place: str
    pattern: str = ""

    def has(self, name: str) -> bool:
        """Whether a file below the path counts."""
        return fnmatch.fnmatchcase(name, self.pattern) and "/" not in name if self.pattern else name.endswith(".xml")


def _in_archive(stream: _Bounded, wanted: _Wanted, ended: State) -> Iterator[Findings]:
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as files:
        for number, member in enumerate(files):
            if number >= MAX_FILES:
                raise BadResults(f"{wanted.place} has more than {MAX_FILES} files")
            if number == 0 and not member.isdir():
                yield _in_member(files, member, wanted.place, ended)
                continue
            # Names in the archive begin with the name of the directory.
            name = member.name.partition("/")[2]
            if member.isfile() and wanted.has(name):
                with suppress(OtherXml):
                    yield _in_member(files, member, posixpath.join(wanted.place, name), ended)


def _in_member(files: tarfile.TarFile, member: tarfile.TarInfo, name: str, ended: State) -> Findings:
    content = files.extractfile(member) if member.isfile() else None
    if content is None:
        raise BadResults(f"{name} is not a regular file")
    if member.size > MAX_BYTES:
        raise BadResults(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        found = read_junit(content, green=ended.exit_code == 0)
    except BadResults as error:
        raise type(error)(f"{name} {error}") from None
    if member.mtime < ended.started - CLOCK_SLACK:
        raise BadResults(f"{name} was in the image before the command ran: it says nothing of this run")
    return found


class _Bounded:
    """A stream that raises BadResults after MAX_BYTES plus the archive's overhead."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        self._stream = stream
        self._left = MAX_BYTES + MAX_FILES * 2048
        self._path = path

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadResults(f"{self._path} is larger than {MAX_BYTES >> 20} MiB")
        return data
