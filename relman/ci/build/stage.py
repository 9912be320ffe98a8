"""Build a service's image, with BuildKit if its client is installed, else with the classic builder.

The image has the same labels either way. It is verified that the run's tag names it, and that it has the base that it
names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relman.ci.build.base_image import (
    dockerfile_of,
    find_base,
    forgotten,
    require_base,
    text_of,
)
from relman.ci.build.build_request import BuildOrder
from relman.ci.build.buildx import build_with_buildkit, find_buildx
from relman.ci.build.classic_builder import build_classic
from relman.ci.build.test_images import stage_tag
from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.dockerfile import registries_named
from relman.ci.engine import images
from relman.ci.engine.owner import built_by, run_of
from relman.ci.engine.platforms import foreign_named
from relman.ci.engine.stopwatch import Watch
from relman.ci.run.run_name import describe
from relman.docker.client import Client
from relman.model.container import DEPLOY_SECTION, DIRTY, MATRIX
from relman.model.errors import BuildFailed
from relman.model.files import is_label, labels_of
from relman.model.image import ImageId
from relman.model.image_config import BASE_DIGEST, BASE_NAME, CREATED, REVISION, SOURCE, VERSION
from relman.model.reference import registry_of
from relman.model.run import Commit, RunName
from relman.model.service import Service
from relman.registry.docker_config import login_key

_OURS = (REVISION, SOURCE, CREATED, VERSION, DIRTY, MATRIX, BASE_NAME, BASE_DIGEST)


def build(
    client: Client,
    service: Service,
    run: RunName,
    commit: Commit,
    *,
    version: str,
    created: str,
    deploy_section: str,
    files: Mapping[str, bytes],
    environ: Mapping[str, str],
    credentials: CredentialsFor,
    progress: Progress,
    watch: Watch,
) -> ImageId:
    """Build the image, tag it `<repository>:<run.tag>` on the engine and return its id; also build the Dockerfile
    stages in which tests run.

    `created` is RFC 3339; `deploy_section` is the frozen deploy section, `files` are its files; `environ` provides
    build secrets and the location of buildx. Base images are pulled. Raises BuildFailed with the last lines of output,
    UsageError if a secret is missing, and what pulling the base raises.
    """
    progress(describe(commit))
    if not dockerfile_of(service).is_file():
        raise BuildFailed(
            f"there is no {service.build.dockerfile} in {dockerfile_of(service).parent}",
            hint="`build.dockerfile` is relative to `build.context`.",
        )
    with foreign_named(client, service.build.platform, progress):
        base = find_base(client, service, credentials, progress)
        labels = image_labels(run, commit, version, created, deploy_section) | (base.labels() if base else {})
        labels |= labels_of(files)
        labels |= forgotten(base, labels, (*_OURS, *filter(is_label, base.image.labels if base else ())))
        order = BuildOrder(service, service.repository.tag(run.tag), labels, _logins(service, credentials))
        image = _made(client, order, run, environ, credentials, progress, watch)
        require_base(client, image, base)
        for stage in service.test.stages:
            progress(f"building stage {stage}, in which tests run")
            there = replace(service, build=replace(service.build, target=stage))
            order = BuildOrder(there, stage_tag(service, run, stage), built_by(run), order.logins)
            _made(client, order, run, environ, credentials, progress, watch)
    return image


def _made(
    client: Client,
    order: BuildOrder,
    run: RunName,
    environ: Mapping[str, str],
    credentials: CredentialsFor,
    progress: Progress,
    watch: Watch,
) -> ImageId:
    if program := find_buildx(environ):
        said = build_with_buildkit(program, order, environ, progress, watch)
    else:
        said = build_classic(client, order, credentials, progress)
    image = _under_tag(client, order.tag, run, said)
    wanted, made = order.service.build.platform, images.inspect(client, image.value).platform
    if wanted and not made.is_for(wanted):
        raise BuildFailed(
            f"the engine's own builder made an image for {made}, and {wanted} is wanted",
            hint="Install BuildKit's client, docker buildx, on this machine, and unset DOCKER_BUILDKIT=0.",
        )
    return image


def _under_tag(client: Client, tag: str, run: RunName, said: str) -> ImageId:
    """The image under the run's tag. Raises BuildFailed unless it is the one that the builder reported."""
    found = images.inspect(client, tag)
    if said not in (found.id.value, str(images.config_digest(client, found.id))) or run_of(found.labels) != run:
        raise BuildFailed(f"the builder made {said}, and {tag} is {found.id}: another build took the tag")
    return found.id


def image_labels(run: RunName, commit: Commit, version: str, created: str, deploy_section: str) -> dict[str, str]:
    """The image's labels: OCI annotations and relman's own; unknown values are omitted."""
    oci = {REVISION: commit.revision, SOURCE: commit.url, CREATED: created, VERSION: version}
    own = {**built_by(run), DEPLOY_SECTION: deploy_section, DIRTY: "true" if commit.dirty else ""}
    return {name: value for name, value in (oci | own).items() if value}


def commit_in(labels: Mapping[str, str]) -> Commit:
    """The commit in an image's labels, which do not include its branch."""
    return Commit(labels.get(REVISION, ""), url=labels.get(SOURCE, ""), dirty=labels.get(DIRTY) == "true")


def _logins(service: Service, credentials: CredentialsFor) -> dict[str, dict[str, str]]:
    """The known login of every registry that the build may pull from, by docker's key."""
    named = registries_named(text_of(service), service.build.args) | set(map(registry_of, service.build.cache_from))
    known = {registry: found for registry in sorted(named) if (found := credentials(registry))}
    return {login_key(registry): c.auth_config() for registry, c in known.items()}
