"""Tags: a new name for the same bytes, so that the digest stays what was tested."""

from __future__ import annotations

from relman.model.errors import TagMoved
from relman.model.image import Repository, check_tag
from relman.registry.client import Registry
from relman.registry.manifest import Manifest


def retag(registry: Registry, repository: Repository, manifest: Manifest, tag: str, *, moveable: bool) -> bool:
    """Put the same bytes under `tag`; gives whether there was anything to do.

    A tag that is not `moveable` and stands for another digest is refused with TagMoved, also as `put_free` does.
    """
    if moveable:
        registry.put_manifest(repository, check_tag(tag), manifest)
        return True
    if stands(registry, repository, manifest, tag):
        return False
    put_free(registry, repository, manifest, tag)
    return True


def put_free(registry: Registry, repository: Repository, manifest: Manifest, tag: str) -> None:
    """Put the same bytes under `tag`, which was just found to be free.

    Registries have no compare-and-swap: the tag is read again afterwards, so that of two at once at least the overtaken
    one is told, with TagMoved.
    """
    registry.put_manifest(repository, check_tag(tag), manifest)
    stands(registry, repository, manifest, tag)


def stands(registry: Registry, repository: Repository, manifest: Manifest, tag: str) -> bool:
    """Whether `tag` stands for `manifest`, or is free. Raises TagMoved if it stands for another digest."""
    found = registry.find(repository, check_tag(tag))
    if found is not None and found.digest != manifest.digest:
        raise TagMoved(
            f"{repository.name}:{tag} is already {found.digest}, and would become {manifest.digest}",
            host=registry.host,
            hint="A release tag never moves. Release under a new tag.",
        )
    return found is not None
