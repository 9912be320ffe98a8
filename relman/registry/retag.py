"""Put tags on manifests that the registry has, byte for byte, so that the digest stays the one that was tested."""

from __future__ import annotations

from relman.model.errors import TagMoved
from relman.model.image import Repository, check_tag
from relman.registry.client import Registry
from relman.registry.manifest import Manifest


def put_free(registry: Registry, repository: Repository, manifest: Manifest, tag: str) -> None:
    """Put `manifest` under `tag`, which was just found free.

    Registries have no compare-and-swap, so the tag is read again: of two concurrent writers at least the one that was
    overwritten gets TagMoved.
    """
    registry.put_manifest(repository, check_tag(tag), manifest)
    stands(registry, repository, manifest, tag)


def stands(registry: Registry, repository: Repository, manifest: Manifest, tag: str) -> bool:
    """Whether `tag` names `manifest`; False if it is free. Raises TagMoved if it names another digest."""
    found = registry.find(repository, check_tag(tag))
    if found is not None and found.digest != manifest.digest:
        raise TagMoved(
            f"{repository.name}:{tag} is already {found.digest}, and would become {manifest.digest}",
            host=registry.host,
            hint="A release tag never moves. Release under a new tag.",
        )
    return found is not None
