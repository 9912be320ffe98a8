"""Result files, read out of a container that has ended, however it ended."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, cast

from relman.ci.containers import State
from relman.ci.engine import translated
from relman.ci.junit import BadResults, read_junit
from relman.model.cases import Findings
from relman.model.errors import NotFound

if TYPE_CHECKING:
    import docker

CLOCK_SLACK = 2.0  # seconds: a file has whole ones, and a clock may be set back while a command runs
MAX_BYTES = 32 << 20
MAX_FILES = 2000
_PLAIN = {"Accept-Encoding": "identity"}


def read_results(client: docker.APIClient, container: str, ended: State, paths: Iterable[str]) -> Findings:
    """What the JUnit XML files at `paths` say together: files, or directories with files named *.xml, relative to
    where the container's process starts.

    Raises BadResults where one is missing, unreadable, too large, or older than the container: a file that came with
    the image says nothing of this run. Raises EngineError or Unreachable.
    """
    return Findings.together(f for path in paths for f in _read(client, container, ended, path))


def _read(client: docker.APIClient, container: str, ended: State, path: str) -> list[Findings]:
    url = f"{client.base_url}/v{client.api_version}/containers/{container}/archive"
    place = posixpath.join(ended.directory, path)
    try:
        with (
            translated(f"cannot read {path} out of the container"),
            client.get(url, params={"path": place}, headers=_PLAIN, stream=True, timeout=(60, 60)) as answer,
        ):
            answer.raise_for_status()
            found = list(_in_archive(_Bounded(answer.raw, path), path, ended.started))
    except NotFound:
        raise BadResults(f"{path} is not there: the command wrote no results") from None
    except tarfile.TarError as error:
        raise BadResults(f"{path} cannot be read out of the container: {error}") from None
    if not found:
        raise BadResults(f"{path} has no file named *.xml")
    return found


def _in_archive(stream: _Bounded, path: str, started: float) -> Iterator[Findings]:
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MAX_FILES:
                raise BadResults(f"{path} has more than {MAX_FILES} files")
            alone = number == 0 and not member.isdir()
            if not alone and not (member.isfile() and member.name.endswith(".xml")):
                continue
            yield _in_member(archive, member, path if alone else _below(path, member.name), started)


def _in_member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, started: float) -> Findings:
    content = archive.extractfile(member) if member.isfile() else None
    if content is None:
        raise BadResults(f"{name} is no plain file")
    if member.size > MAX_BYTES:
        raise BadResults(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    if member.mtime < started - CLOCK_SLACK:
        raise BadResults(f"{name} was in the image before the command ran: it says nothing of this run")
    try:
        return read_junit(content)
    except BadResults as error:
        raise BadResults(f"{name} {error}") from None


def _below(path: str, member: str) -> str:
    """The name of a file in a directory that was asked for; the archive's names begin with the directory's own."""
    return posixpath.join(path, member.partition("/")[2])


class _Bounded:
    """A stream that ends in BadResults after MAX_BYTES and what the archive adds to each file."""

    def __init__(self, raw: object, path: str) -> None:
        self._raw = cast("IO[bytes]", raw)
        self._left = MAX_BYTES + MAX_FILES * 2048
        self._path = path

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._raw.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadResults(f"{self._path} is larger than {MAX_BYTES >> 20} MiB")
        return data
