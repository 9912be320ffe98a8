"""The base image of a build: pulled before the build, and verified after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.dockerfile import SCRATCH, base_of
from relman.ci.engine import images
from relman.ci.engine.ensure_image import obtain, require_platform
from relman.docker.client import Client
from relman.model.container import Image
from relman.model.errors import BuildFailed, Failure, NotFound
from relman.model.image import ImageId, Platform
from relman.model.image_config import BASE_DIGEST, BASE_NAME
from relman.model.reference import digest_of, repository_of, tag_of
from relman.model.service import Service


@dataclass(frozen=True)
class BaseImage:
    """A base image: its name in the Dockerfile, the image on the engine, and the digest of its manifest, "" if it is in
    no registry."""

    name: str
    image: Image
    digest: str

    def labels(self) -> dict[str, str]:
        """The labels that name it (OCI image-spec 1.1, Annotations,
        https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md#pre-defined-annotation-keys)."""
        return {BASE_NAME: self.name} | ({BASE_DIGEST: self.digest} if self.digest else {})


def dockerfile_of(service: Service) -> Path:
    """The path of the service's Dockerfile."""
    return Path(service.root) / service.build.context / service.build.dockerfile


def text_of(service: Service) -> str:
    """The text of the service's Dockerfile."""
    return dockerfile_of(service).read_text(encoding="utf-8", errors="replace")


def find_base(client: Client, service: Service, credentials: CredentialsFor, progress: Progress) -> BaseImage | None:
    """Pull the base image as its registry has it now, and tag it on the engine with the Dockerfile's name for it.

    If the registry does not deliver it, the engine's image is used, and `progress` is told. None if the Dockerfile
    starts from scratch, or in a way that only the builder understands. Raises NotFound, AccessDenied, Unreachable or
    RegistryError if there is no such image anywhere.
    """
    name = base_of(text_of(service), service.build.args, service.build.target)
    if name is None or name == SCRATCH:
        return None
    try:
        image, reference = obtain(client, name, credentials, progress, platform=service.build.platform)
    except Failure as error:
        return _as_it_is_here(client, name, error, progress, service.build.platform)
    if not digest_of(name) and name not in image.repo_tags and digest_of(reference):
        images.tag(client, image.id, repository_of(name), tag_of(name) or "latest")
    return BaseImage(name, image, digest_of(reference))


def _as_it_is_here(
    client: Client, name: str, error: Failure, progress: Progress, platform: Platform | None
) -> BaseImage:
    try:
        image = images.inspect(client, name)
        require_platform(name, image, platform)
    except NotFound:
        raise error from None
    progress(f"{error.what}; using the base image as it is on this engine")
    known = {digest_of(d) for d in image.repo_digests if repository_of(d) == repository_of(name)}
    return BaseImage(name, image, known.pop() if len(known) == 1 else "")


def require_base(client: Client, built: ImageId, base: BaseImage | None) -> None:
    """Raise BuildFailed unless the image has exactly its base's layers at the bottom: a tag may move during the
    build."""
    if base is None:
        return
    under, layers = images.layers_of(client, base.image.id), images.layers_of(client, built)
    if layers[: len(under)] != under:
        raise BuildFailed(
            f"the image was not built on {base.name} as it was when the build began ({base.image.id.short})",
            hint="Build it again.",
        )


def forgotten(base: BaseImage | None, ours: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Empty values for labels that would be inherited from the base and be wrong for this image."""
    inherited = base.image.labels if base else {}
    return {name: "" for name in names if name in inherited and name not in ours}
