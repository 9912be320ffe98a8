"""Build with the engine's classic builder (Docker Engine API, ImageBuild,
https://docs.docker.com/reference/api/engine/latest/#tag/Image/operation/ImageBuild)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from relman.ci.build.build_request import BuildOrder
from relman.ci.build.dockerignore import context_files, read_patterns
from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.engine.ensure_image import obtain
from relman.ci.engine.line_buffer import Lines
from relman.docker.auth import auth_header
from relman.docker.client import Client
from relman.docker.events import Event, line_of, told
from relman.model.errors import BuildFailed, EngineError, Failure
from relman.model.service import Service

# Output that is hidden: bookkeeping of each step, and the steps of relman's own labels.
_NOISE = re.compile(
    r" ---> (Running in )?([0-9a-f]{12})?$|( ---> )?Remov(ed|ing) intermediate container |Successfully (built|tagged) "
    r"|Step \d+/\d+ : LABEL (relman\.|org\.opencontainers\.image\.(revision|source|created|version|base\.\w+)=)"
)


def build_classic(client: Client, order: BuildOrder, credentials: CredentialsFor, progress: Progress) -> str:
    """Build and tag the image; return its id. Raises BuildFailed with the last lines of output, or Unreachable."""
    service = order.service
    if service.build.secrets:
        names = ", ".join(secret.id for secret in service.build.secrets)
        raise BuildFailed(
            f"the build needs secrets ({names}), which the engine's own builder cannot give",
            hint="Install BuildKit's client, docker buildx, on this machine, and unset DOCKER_BUILDKIT=0.",
        )
    params = {
        "t": order.tag,
        "dockerfile": service.build.dockerfile,
        "rm": "1",
        "forcerm": "1",
        "labels": json.dumps(dict(order.labels)),
        "buildargs": json.dumps(dict(service.build.args)),
        **({"target": service.build.target} if service.build.target else {}),
        **({"platform": str(service.build.platform)} if service.build.platform else {}),
        **_cache(client, service, credentials, progress),
    }
    output = Lines(lambda line: None if _NOISE.match(line) else progress(line))
    try:
        with build_context(Path(service.root) / service.build.context, service.build.dockerfile) as context:
            headers = {"Content-Type": "application/x-tar", "X-Registry-Config": auth_header(order.logins)}
            what = f"cannot build {service.name}"
            return _follow(told(client, what, "/build", params=params, headers=headers, data=context), output)
    except EngineError as error:
        raise BuildFailed(error.what, details=output.last) from error


def build_context(root: Path, dockerfile: str) -> IO[bytes]:
    """The build context as a temporary tar file, without what .dockerignore excludes. Raises BuildFailed."""
    from docker.utils import create_archive

    ignored = root / ".dockerignore"
    try:
        patterns = read_patterns(ignored.read_bytes()) if ignored.is_file() else []
        return cast(IO[bytes], create_archive(str(root), files=list(context_files(root, patterns, dockerfile))))
    except (OSError, ValueError) as error:
        raise BuildFailed(f"cannot read the build context {root}: {error}") from error


def _cache(client: Client, service: Service, credentials: CredentialsFor, progress: Progress) -> dict[str, str]:
    """Pull the cache images: this builder uses only what is on the engine."""
    found = []
    for reference in service.build.cache_from:
        try:
            found.append(obtain(client, reference, credentials, progress, platform=service.build.platform)[1])
        except Failure as error:
            progress(f"no cache from {reference}: {error.what}")
    return {"cachefrom": json.dumps(found)} if found else {}


def _follow(stream: Iterator[Event], output: Lines) -> str:
    image = ""
    try:
        for event in stream:
            image = (event.get("aux") or {}).get("ID") or image
            if "stream" in event:
                output.feed(str(event["stream"]))
            elif line := line_of(event):
                output.feed(f"{line}\n")
    finally:
        output.end()
    if not image:
        raise EngineError("the engine ended the build without naming an image")
    return image
