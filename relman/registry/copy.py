"""Copy images between repositories and registries, byte for byte, so that digests do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from relman.model.errors import RegistryError
from relman.model.image import Digest, ManifestDigest
from relman.registry.blobs import RepositoryClient, copy_blob
from relman.registry.manifest import Manifest, digest_in, size_in

THREADS = 3
MAX_DEPTH = 3
"""The deepest nesting of indexes."""
MAX_CHILDREN = 500

CopyProgress = Callable[[Digest, int, int], None]
"""Called, from any thread, with a blob, how many of its bytes are done, and its size."""


def copy_manifest(
    source: RepositoryClient,
    target: RepositoryClient,
    manifest: Manifest,
    progress: CopyProgress = lambda *_: None,
    *,
    depth: int = MAX_DEPTH,
) -> int:
    """Copy a manifest and everything it names, an index's children first; returns how many objects were missing.

    Objects that the target has are not read again, so an interrupted copy continues where it stopped. `progress` is
    called from any thread. Raises RegistryError for an index beyond MAX_CHILDREN or MAX_DEPTH, and what Registry
    raises.
    """
    if target.registry.has(target.repository, manifest.digest):
        return 0
    done = 0
    children = manifest.list_of("manifests") if manifest.is_index else []
    if len(children) > MAX_CHILDREN or (children and not depth):
        raise RegistryError(
            f"the index {manifest.digest} has {len(children)} images, or too many indexes in it",
            host=source.registry.host,
        )
    for child in children:
        found = source.registry.find(source.repository, ManifestDigest(digest_in(child).value))
        if found is not None:  # an index may name images that were never pushed; the target accepts that or not
            done += copy_manifest(source, target, found, progress, depth=depth - 1)
    done += copy_blobs(source, target, list(_blobs(manifest)), progress)
    target.registry.put_manifest(target.repository, manifest.digest, manifest)
    return done + 1


def copy_blobs(
    source: RepositoryClient,
    target: RepositoryClient,
    descriptors: list[dict[str, Any]],
    progress: CopyProgress = lambda *_: None,
) -> int:
    """Copy the blobs of these descriptors, THREADS at a time; returns how many were missing."""

    def one(descriptor: dict[str, Any]) -> bool:
        digest, size = digest_in(descriptor), size_in(descriptor)
        return copy_blob(source, target, digest, size, lambda done: progress(digest, done, size))

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(one, descriptors))


def _blobs(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """The descriptors of the configuration and the layers, except layers that are fetched from elsewhere (`urls`)."""
    seen: set[str] = set()
    config = manifest.document.get("config")
    for descriptor in [*([config] if isinstance(config, dict) else []), *manifest.list_of("layers")]:
        if not descriptor.get("urls") and str(digest_in(descriptor)) not in seen:
            seen.add(str(digest_in(descriptor)))
            yield descriptor
