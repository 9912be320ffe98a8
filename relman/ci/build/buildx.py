"""Build with BuildKit through docker buildx, which is run directly, so that no docker CLI is needed.

It builds in the engine that relman uses (builder `default`), so that the image can be tested there, and with
`--provenance=false`, so that the result is a single manifest. Documentation:
https://docs.docker.com/reference/cli/docker/buildx/build/.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relman.ci.build.build_request import BuildOrder
from relman.ci.callbacks import Progress
from relman.ci.engine.line_buffer import Lines
from relman.ci.engine.stopwatch import Watch
from relman.config.schema.values_names import RELMAN_S
from relman.local import process_group
from relman.local.directories import docker_config_directory
from relman.model.errors import BuildFailed, UsageError
from relman.model.formats.mask import Mask
from relman.model.service import BuildSecret

_PLUGINS = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")


def find_buildx(environ: Mapping[str, str]) -> str | None:
    """The buildx program from docker's plugin directories or PATH; None if it is not installed, or disabled with
    DOCKER_BUILDKIT=0, as for docker's own client."""
    if environ.get("DOCKER_BUILDKIT") in ("0", "false"):
        return None
    places = [docker_config_directory(environ) / "cli-plugins", *(Path(p) / "docker/cli-plugins" for p in _PLUGINS)]
    found = (str(place / "docker-buildx") for place in places if os.access(place / "docker-buildx", os.X_OK))
    return next(found, None) or shutil.which("docker-buildx", path=environ.get("PATH"))


def build_with_buildkit(
    program: str, order: BuildOrder, environ: Mapping[str, str], progress: Progress, watch: Watch
) -> str:
    """Build and tag the image; return its id as BuildKit reports it.

    The program inherits none of relman's variables, which contain passwords. Logins are written to a temporary docker
    configuration that only this user can read. Raises BuildFailed with the last lines of output, UsageError if a build
    secret is missing or is one of relman's own.
    """
    mask = Mask(_secret_values(order, environ))
    output = Lines(progress, mask=mask)
    with tempfile.TemporaryDirectory(prefix="relman-build-") as private:
        _write_private(Path(private) / "config.json", {"auths": {k: _auth(v) for k, v in order.logins.items()}})
        said = Path(private) / "image"
        inherited = {name: value for name, value in environ.items() if not name.startswith(RELMAN_S)}
        variables = {**inherited, "DOCKER_CONFIG": private, "BUILDX_CONFIG": f"{private}/buildx"}
        if environ.get("DOCKER_TLS_VERIFY"):
            variables.setdefault("DOCKER_CERT_PATH", str(docker_config_directory(environ)))
        with watch.waiting():
            # The engine ends the build when the program ends.
            code = process_group.run(
                [program, *_arguments(order, said)], process_group.text(output.feed), env=variables
            )
        output.end()
        if code:
            raise BuildFailed(f"cannot build {order.service.name}: buildx ended with {code}", details=output.last)
        return said.read_text().strip()


def _arguments(order: BuildOrder, said: Path) -> Iterator[str]:
    build, root = order.service.build, Path(order.service.root)
    context = root / build.context
    yield from ("build", "--builder=default", "--progress=plain", "--provenance=false", "--load")
    yield from (f"--iidfile={said}", f"--tag={order.tag}", f"--file={context / build.dockerfile}")
    yield from (f"--label={name}={value}" for name, value in order.labels.items())
    yield from (f"--build-arg={name}={value}" for name, value in build.args.items())
    yield from [f"--target={build.target}"] if build.target else []
    yield from [f"--platform={build.platform}"] if build.platform else []
    yield from (f"--secret={_secret(secret, root)}" for secret in build.secrets)
    yield from (f"--cache-from=type=registry,ref={reference}" for reference in build.cache_from)
    # Export cache metadata, so that later builds can use this image's layers.
    yield from ["--cache-to=type=inline"] if build.cache_from else []
    yield str(context)


def _secret(secret: BuildSecret, root: Path) -> str:
    source = f"env={secret.env}" if secret.env else f"src={_file(secret, root)}"
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([f"id={secret.id}", source])
    return line.getvalue()


def _file(secret: BuildSecret, root: Path) -> Path:
    return (root / Path(secret.file).expanduser()).absolute()


def _secret_values(order: BuildOrder, environ: Mapping[str, str]) -> Iterator[str]:
    """The values of the build's secrets that are text. Raises UsageError, listing all that are missing."""
    missing = []
    own = {Path(v).resolve() for n, v in environ.items() if v and n.startswith(RELMAN_S) and n.endswith("_FILE")}
    for secret in order.service.build.secrets:
        if secret.env:
            value = environ.get(secret.env)
            missing += [] if value else [f"{secret.id}: the variable {secret.env} is not set"]
        else:
            file = _file(secret, Path(order.service.root))
            if file.resolve() in own:
                raise UsageError(f"{secret.id}: {file} is a file of relman's own, not a build secret")
            value = file.read_text(errors="replace") if file.is_file() else None
            missing += [] if value else [f"{secret.id}: {file} is empty"]
        if value:
            yield value
    if missing:
        raise UsageError("secrets of the build are missing", details=missing)


def _auth(login: Mapping[str, Any]) -> dict[str, str]:
    """A login in the form of docker's config.json."""
    if token := login.get("identitytoken"):
        return {"identitytoken": str(token)}
    return {"auth": base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()}


def _write_private(file: Path, data: Mapping[str, Any]) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(data, opened)
