"""What an engine can build and run: its own platform, and others where it emulates them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relman.ci.callbacks import Progress
from relman.ci.engine import images
from relman.docker.client import Client
from relman.model.errors import BuildFailed, TestsFailed
from relman.model.image import Platform

_RUNS_TOO = {"amd64": "386", "arm64": "arm"}


@contextmanager
def foreign_named(client: Client, platform: Platform | None, progress: Progress) -> Iterator[None]:
    """Where the engine runs an image of `platform` (None: its own) only by emulation, that is said before the body, and
    by its BuildFailed or TestsFailed. Raises BuildFailed for another operating system, EngineError or Unreachable."""
    own = images.platform_of(client)
    if platform is None or runs(own, platform):
        yield
        return
    if platform.os != own.os:
        raise BuildFailed(
            f"this engine is {own} and makes no image for {platform}",
            hint=f"DOCKER_HOST may name an engine that is {platform.os}.",
        )
    progress(f"the image is for {platform}, which this engine, {own}, runs only where it emulates it (binfmt_misc)")
    try:
        yield
    except (BuildFailed, TestsFailed) as error:
        emulation = (
            f"Does this engine, {own}, run {platform}? `docker run --privileged --rm tonistiigi/binfmt --install "
            f"{platform.architecture}` on its machine adds the emulation."
        )
        hint = " ".join(filter(None, (error.hint, emulation)))
        raise type(error)(error.what, hint=hint, details=error.details) from error


def runs(own: Platform, platform: Platform) -> bool:
    """Whether a machine of its `own` platform runs programs of the other without emulation."""
    return platform.os == own.os and platform.architecture in (own.architecture, _RUNS_TOO.get(own.architecture))
