"""Read programs of an image from a container that is created and never started."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from relman.ci.engine.containers import remove
from relman.ci.engine.copy_out import archive
from relman.ci.engine.owner import labels
from relman.ci.entrypoint.judge import Reader, shown, unseen
from relman.docker.answers import id_of
from relman.docker.client import Client
from relman.model.container import Image
from relman.model.errors import NotFound, TestsFailed
from relman.model.run import RunName
from relman.model.service import TestStage

MAX_SCRIPT = 64 << 10  # bytes that are read of a program
_LINKS = 8
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_started(client: Client, run: RunName, stage: TestStage, image: Image) -> bool:
    """Whether the stage's commands are known, or declared, to be started. Raises TestsFailed if they are not and one of
    them writes no result files that would prove it; EngineError or Unreachable."""
    if stage.entrypoint is not None or not image.entrypoint:
        return True
    with programs_of(client, run, image) as read:
        why = unseen(image.entrypoint, read)
    if why and (unproved := next((command for command in stage.commands if not command.junit), None)):
        raise TestsFailed(
            f"test command {unproved.title} might never run: the image's ENTRYPOINT {shown(image.entrypoint)} gets it "
            f"as arguments, and relman does not see that it starts them: {why}",
            hint=HINT,
        )
    return not why


def with_proof(stage: TestStage) -> TestStage:
    """The stage with commands that pass only if their result files contain an executed test."""
    return replace(stage, commands=tuple(replace(command, allow_no_tests=False) for command in stage.commands))


HINT = (
    "Say under `test` in relman.yml `entrypoint: []` to run the commands without it, `entrypoint: image` if it does "
    "start them, or the words to run them with; or name under `junit` the result files that a command writes."
)


@contextmanager
def programs_of(client: Client, run: RunName, image: Image) -> Iterator[Reader]:
    """A reader of programs in an image: by path relative to its working directory, or by name in its PATH.

    Raises EngineError or Unreachable.
    """
    # Unnamed, so that a leftover of a dead attempt does not conflict; `cleanup` finds it by its labels.
    what, body = f"cannot look into image {image.id.short}", {"Image": image.id.value, "Labels": labels(run)}
    answer = client.ask(what, "POST", "/containers/create", body=body)
    with client.reading(what):
        container = id_of(answer)

    def read(name: str) -> bytes | None:
        directories = [image.directory] if "/" in name else image.env.get("PATH", _PATH).split(":")
        found = (_content(client, container, posixpath.join("/", each, name)) for each in directories)
        return next((content for content in found if content is not None), None)

    try:
        yield read
    finally:
        remove(client, container)


def _content(client: Client, container: str, path: str) -> bytes | None:
    for _ in range(_LINKS):
        found = _member(client, container, path)
        if not isinstance(found, str):
            return found
        path = posixpath.join(posixpath.dirname(path), found)
    return None


def _member(client: Client, container: str, path: str) -> bytes | str | None:
    """The beginning of a file, the target of a link, or None for anything else."""
    try:
        with (
            archive(client, f"cannot read {path} out of the image", container, path) as stream,
            tarfile.open(fileobj=stream.file, mode="r|") as files,
        ):
            member = files.next()
            if member and member.issym():
                return member.linkname
            content = files.extractfile(member) if member and member.isfile() else None
            return content.read(MAX_SCRIPT) if content else None
    except (NotFound, tarfile.TarError):
        return None
