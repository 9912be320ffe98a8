"""Images of the local engine: what they declare, and under which digests they are known."""

from __future__ import annotations

import json
import tarfile
from typing import Any, cast

from relman.docker.client import Client
from relman.docker.facts import facts
from relman.docker.images import image, layers
from relman.model.container import Image
from relman.model.errors import EngineError
from relman.model.image import ConfigDigest, ImageId, Platform


def inspect(client: Client, reference: str) -> Image:
    """The image that the engine holds under `reference` (a name, an id or `name@sha256:…`). Raises NotFound."""
    return client.get(f"cannot inspect image {reference}", "/images/{}/json", reference, read=image)


def layers_of(client: Client, image: ImageId) -> tuple[str, ...]:
    """The digests of the image's unpacked layers, lowest first. Raises NotFound."""
    return client.get(f"cannot inspect image {image.short}", "/images/{}/json", image.value, read=layers)


def platform_of(client: Client) -> Platform:
    """The platform of the engine itself. Raises EngineError."""
    return client.get("cannot ask the engine for its platform", "/info", read=facts).platform


def ids_are_manifests(client: Client) -> bool:
    """Whether the engine has the containerd store, where an image's id is its manifest's digest. Raises EngineError."""
    return client.get("cannot ask the engine for its image store", "/info", read=facts).containerd_store


def config_digest(client: Client, image: ImageId) -> ConfigDigest:
    """The digest of the image's configuration.

    On the classic store that is the image's id. On the containerd store the id is the manifest's (or index's) digest,
    and the API has no question for the configuration's: it is read from `manifest.json` in the image's export, whose
    `Config` entry is the path of the blob for the engine's own platform (`blobs/sha256/…`). Raises EngineError.
    """
    if not ids_are_manifests(client):
        return ConfigDigest(image.value)
    manifest = _exported_manifest(client, image)
    if not manifest:
        raise EngineError(f"the export of image {image.short} has no manifest.json")
    return ConfigDigest("sha256:" + str(manifest[0]["Config"]).rpartition("/")[2].removesuffix(".json"))


def _exported_manifest(client: Client, image: ImageId) -> list[dict[str, Any]]:
    with (
        client.stream(f"cannot export image {image.short}", "GET", "/images/{}/get", image.value) as stream,
        tarfile.open(fileobj=stream.file, mode="r|") as archive,
    ):
        for member in archive:
            content = archive.extractfile(member) if member.name == "manifest.json" else None
            if content:
                return cast(list[dict[str, Any]], json.load(content))
    return []


def tag(client: Client, image: ImageId, repository: str, tag: str) -> None:
    """Give the image a name. Raises NotFound, EngineError or Unreachable."""
    params = {"repo": repository, "tag": tag}
    client.ask(f"cannot tag {image.short} as {repository}:{tag}", "POST", "/images/{}/tag", image.value, params=params)


def untag(client: Client, what: str, name: str) -> None:
    """Take a name off an image; one that has none left is deleted, without the layers under it, which are the builder's
    cache. Raises NotFound, EngineError or Unreachable."""
    client.ask(what, "DELETE", "/images/{}", name, params={"noprune": 1})
