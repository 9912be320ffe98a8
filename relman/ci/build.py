"""Build a service's image with the engine's own builder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from relman.ci.engine import CredentialsFor, Event, Progress, auth_header, events, line_of
from relman.ci.lines import Lines
from relman.ci.names import describe
from relman.ci.transfer import HUB, registry_of
from relman.model.container import DEPLOY_SECTION, DIRTY, RUN, SERVICE_NAME
from relman.model.errors import BuildFailed, EngineError
from relman.model.image import ImageId
from relman.model.run import Commit, RunName
from relman.model.service import Service

if TYPE_CHECKING:
    import docker

REVISION, SOURCE, CREATED, VERSION = (
    f"org.opencontainers.image.{name}" for name in ("revision", "source", "created", "version")
)
# What the engine says of every step, and the labels that relman adds as further steps.
_NOISE = re.compile(
    r" ---> (Running in )?[0-9a-f]{12}$|Removing intermediate container |Successfully (built|tagged) "
    r"|Step \d+/\d+ : LABEL (relman\.|org\.opencontainers\.image\.(revision|source|created|version)=)"
)
_NAMING = {"FROM", "ARG", "COPY"}
_LOGIN_KEY = {HUB: "https://index.docker.io/v1/"}


def build(
    client: docker.APIClient,
    service: Service,
    run: RunName,
    commit: Commit,
    *,
    version: str,
    created: str,
    deploy_section: str,
    credentials: CredentialsFor,
    progress: Progress,
) -> ImageId:
    """Build the image, tag it `<repository>:<run.tag>` on the engine and return its id.

    `created` is RFC 3339; `deploy_section` is the frozen deploy section. The base image is pulled where it is missing.
    Raises BuildFailed with the last lines of output, or Unreachable.
    """
    progress(describe(commit))
    params = {
        "t": service.repository.tag(run.tag),
        "dockerfile": service.build.dockerfile,
        "rm": "1",
        "forcerm": "1",
        "labels": json.dumps(image_labels(service, run, commit, version, created, deploy_section)),
        "buildargs": json.dumps(dict(service.build.args)),
        **({"target": service.build.target} if service.build.target else {}),
    }
    output = Lines(lambda line: None if _NOISE.match(line) else progress(line))
    try:
        with build_context(Path(service.root) / service.build.context, service.build.dockerfile) as context:
            headers = {"Content-Type": "application/x-tar", "X-Registry-Config": _logins(service, credentials)}
            what = f"cannot build {service.name}"
            stream = events(client, "/build", what, params=params, headers=headers, data=context)
            return ImageId(_follow(stream, output))
    except EngineError as error:
        raise BuildFailed(error.what, details=[line for line in output.last if not _NOISE.match(line)]) from error


def image_labels(
    service: Service, run: RunName, commit: Commit, version: str, created: str, deploy_section: str
) -> dict[str, str]:
    """The image's labels (OCI image-spec, annotations; and relman's own). What is not known is left out."""
    oci = {REVISION: commit.revision, SOURCE: commit.url, CREATED: created, VERSION: version}
    dirty = {DIRTY: "true"} if commit.dirty else {}
    return {name: value for name, value in oci.items() if value} | {
        RUN: str(run),
        SERVICE_NAME: service.name,
        DEPLOY_SECTION: deploy_section,
        **dirty,
    }


def commit_in(labels: Mapping[str, str]) -> Commit:
    """The commit that an image's labels name; they do not name its branch."""
    return Commit(labels.get(REVISION, ""), url=labels.get(SOURCE, ""), dirty=labels.get(DIRTY) == "true")


def build_context(root: Path, dockerfile: str) -> IO[bytes]:
    """The build context as a tar file that is gone once closed; .dockerignore is honoured. Raises BuildFailed."""
    from docker.utils import tar

    if not (root / dockerfile).is_file():
        raise BuildFailed(
            f"there is no {dockerfile} in {root}", hint="`build.dockerfile` is relative to `build.context`."
        )
    try:
        return cast(IO[bytes], tar(root, exclude=_ignored(root), dockerfile=(dockerfile, None)))
    except (OSError, ValueError) as error:
        raise BuildFailed(f"cannot read the build context {root}: {error}") from error


def _ignored(root: Path) -> list[str]:
    file = root / ".dockerignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _logins(service: Service, credentials: CredentialsFor) -> str:
    """The header with a login for every registry that the Dockerfile may pull from and that one is known for."""
    dockerfile = Path(service.root) / service.build.context / service.build.dockerfile
    named = registries_named(dockerfile.read_text(encoding="utf-8", errors="replace"), service.build.args.values())
    known = {registry: found for registry in sorted(named) if (found := credentials(registry))}
    return auth_header({_LOGIN_KEY.get(registry, registry): c.auth_config() for registry, c in known.items()})


def registries_named(dockerfile: str, arguments: Iterable[str]) -> set[str]:
    """The registries of all words that may be image references: in FROM, ARG and --from, and in build arguments."""
    lines = (line.split() for line in dockerfile.splitlines())
    words = [word for first, *rest in filter(None, lines) if first.upper() in _NAMING for word in rest]
    candidates = [word.rpartition("=")[2].strip("\"'") for word in (*words, *arguments)]
    return {registry_of(c) for c in candidates if not set(c) & set("$<>{} ") and "://" not in c}


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
