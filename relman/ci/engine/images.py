"""Images of the local engine: what they declare, and under which digests they are known."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any, cast

from relman.ci.engine.api import answered, translated
from relman.docker.facts import facts
from relman.docker.images import image, layers
from relman.model.container import Image
from relman.model.errors import EngineError
from relman.model.image import ConfigDigest, ImageId, Platform

if TYPE_CHECKING:
    import docker


def inspect(client: docker.APIClient, reference: str) -> Image:
    """The image that the engine holds under `reference` (a name, an id or `name@sha256:…`). Raises NotFound."""
    return answered(f"cannot inspect image {reference}", lambda: client.inspect_image(reference), image)


def layers_of(client: docker.APIClient, image: ImageId) -> tuple[str, ...]:
    """The digests of the image's unpacked layers, lowest first. Raises NotFound."""
    return answered(f"cannot inspect image {image.short}", lambda: client.inspect_image(image.value), layers)


def platform_of(client: docker.APIClient) -> Platform:
    """The platform of the engine itself. Raises EngineError."""
    return answered("cannot ask the engine for its platform", client.info, facts).platform


def ids_are_manifests(client: docker.APIClient) -> bool:
    """Whether the engine has the containerd store, where an image's id is its manifest's digest. Raises EngineError."""
    return answered("cannot ask the engine for its image store", client.info, facts).containerd_store


def config_digest(client: docker.APIClient, image: ImageId) -> ConfigDigest:
    """The digest of the image's configuration.

    On the classic store that is the image's id. On the containerd store the id is the manifest's (or index's) digest,
    and the API has no question for the configuration's: it is read from `manifest.json` in the image's export, whose
    `Config` entry is the path of the blob for the engine's own platform (`blobs/sha256/…`). Raises EngineError.
    """
    if not ids_are_manifests(client):
        return ConfigDigest(image.value)
    with translated(f"cannot export image {image.short}"):
        manifest = _exported_manifest(client, image)
    if not manifest:
        raise EngineError(f"the export of image {image.short} has no manifest.json")
    return ConfigDigest("sha256:" + str(manifest[0]["Config"]).rpartition("/")[2].removesuffix(".json"))


def _exported_manifest(client: docker.APIClient, image: ImageId) -> list[dict[str, Any]]:
    url = f"{client.base_url}/v{client.api_version}/images/{image}/get"
    with client.get(url, stream=True, timeout=(60, 60)) as answer:
        answer.raise_for_status()
        with tarfile.open(fileobj=answer.raw, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name == "manifest.json" else None
                if content:
                    return cast(list[dict[str, Any]], json.load(content))
    return []
