"""Build a library's files in the exact image that was tested, and copy them out."""

from __future__ import annotations

import posixpath
import shlex
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO

from relman.ci.callbacks import Progress
from relman.ci.engine.containers import create, create_network, object_name, run_to_end, state
from relman.ci.engine.copy_out import archive
from relman.ci.engine.line_buffer import Lines
from relman.ci.run.cleanup import remove_temporary
from relman.docker.client import Client
from relman.model.errors import BuildFailed, EngineError, NotFound
from relman.model.image import ImageId
from relman.model.run import RunName
from relman.model.service import Library

MAX_BYTES = 512 << 20
SUFFIXES = (".whl", ".tar.gz")


def make_files(
    client: Client,
    library: Library,
    run: RunName,
    image: ImageId,
    *,
    entrypoint: Sequence[str] | None,
    epoch: int,
    timeout: float,
    into: Path,
    progress: Progress,
) -> None:
    """Run the library's build command in a container of `image`, and copy its files to the directory `into`.

    `entrypoint` replaces the image's. SOURCE_DATE_EPOCH is set to `epoch`, in seconds, so that a reproducible build
    backend gives the same bytes again (https://reproducible-builds.org/specs/source-date-epoch/). The container is
    removed. Raises BuildFailed, EngineError or Unreachable.
    """
    progress(f"building the library: {shlex.join(library.build)}")
    try:
        network = create_network(client, run)
        env = {"SOURCE_DATE_EPOCH": str(epoch)}
        name = object_name(run, "library")
        container = create(client, run, name, image, network, command=library.build, env=env, entrypoint=entrypoint)
        if (found := state(client, container, network).image) != image:
            raise BuildFailed(f"the engine made the build's container from image {found}, not from {image}")
        _build(client, container, timeout, progress)
        ended = state(client, container, network)
        _copy(client, container, posixpath.join(ended.directory, library.dist), ended.started, into)
    finally:
        remove_temporary(client, run)


def _build(client: Client, container: str, timeout: float, progress: Progress) -> None:
    output = Lines(progress)
    try:
        code = run_to_end(client, container, timeout, output)
    except EngineError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        hint = "Is the program in the image, and does its ENTRYPOINT start it? `test.entrypoint` may replace that."
        raise BuildFailed(f"cannot start `release.library.build`: {error.what}", hint=hint) from error
    if code != 0:
        ended = f"exit code {code}" if code is not None else f"ended after {timeout:g} s"
        raise BuildFailed(f"the library's build failed: {ended}", details=list(output.last))


def _copy(client: Client, container: str, place: str, started: float, into: Path) -> None:
    try:
        with archive(client, f"cannot copy {place} out of the container", container, place) as stream:
            found = list(_unpack(stream.file, place, started, into))
    except NotFound:
        raise BuildFailed(f"the library's build left no {place}", hint="`release.library.dist` says where.") from None
    except tarfile.TarError as error:
        raise BuildFailed(f"{place} cannot be copied out of the container: {error}") from None
    if not found:
        raise BuildFailed(f"there is no wheel (*.whl) and no sdist (*.tar.gz) in {place}")


def _unpack(stream: IO[bytes], place: str, started: float, into: Path) -> Iterator[str]:
    """Write the library's files in a directory's archive, skipping everything else; yields their names."""
    left = MAX_BYTES
    with tarfile.open(fileobj=stream, mode="r|") as files:
        for member in files:
            name = posixpath.basename(member.name)
            if not member.isfile() or member.name.count("/") != 1 or not name.endswith(SUFFIXES):
                continue
            if member.mtime < int(started):
                raise BuildFailed(
                    f"{place}/{name} was in the image before the build",
                    hint="Name dist/ in .dockerignore: only what this build makes is released.",
                )
            left -= member.size
            content = files.extractfile(member)
            if left < 0 or content is None:
                raise BuildFailed(f"the files in {place} are larger than {MAX_BYTES >> 20} MiB")
            with (into / name).open("wb") as file:
                shutil.copyfileobj(content, file)
            yield name
