"""Copy an image to another repository or registry together with its evidence."""

from __future__ import annotations

from collections.abc import Iterator

from relman.evidence import store
from relman.evidence.compatibility import keep_attestations, keep_index
from relman.evidence.rules import RuleName
from relman.evidence.store import descriptors
from relman.model.image import ManifestDigest
from relman.registry.blobs import RepositoryClient
from relman.registry.copy import CopyProgress, copy_blobs, copy_manifest
from relman.registry.manifest import Manifest, digest_in


def copy_with_evidence(
    source: RepositoryClient, target: RepositoryClient, image: Manifest, progress: CopyProgress = lambda *_: None
) -> int:
    """Copy an image or index, and the evidence of it and of each of its images. Returns how many objects were missing.

    Digests do not change. Statements keep their own tags; referrers and cosign's manifest are merged with the target's.
    A second run copies only what is missing. `progress` is called while blobs are copied. Raises PolicyRefused for
    evidence that is incomplete or exceeds bounds.py, and what Registry raises.
    """
    done = copy_manifest(source, target, image, progress)
    return done + sum(_copy_evidence(source, target, subject, progress) for subject in _subjects(image))


def _subjects(image: Manifest) -> Iterator[ManifestDigest]:
    yield image.digest
    for child in image.list_of("manifests") if image.is_index else ():
        yield ManifestDigest(digest_in(child).value)


def _copy_evidence(
    source: RepositoryClient, target: RepositoryClient, subject: ManifestDigest, progress: CopyProgress
) -> int:
    found = store.look(source.registry, source.repository, subject)
    if found.missing:
        raise RuleName.WHOLE.refuses(
            f"evidence about {source.repository.at(subject)} was deleted: {found.missing[0][:100]}"
        )
    if not (found.own or found.others or found.attestations):
        return 0
    there = store.look(target.registry, target.repository, subject)
    done = sum(copy_manifest(source, target, m, progress) for m in (*found.own, *found.others))
    native = there.native
    for tag, manifest in found.tagged.items():
        native |= target.registry.put_referrer(target.repository, tag, manifest)
    for manifest in found.others:
        native |= target.registry.put_referrer(target.repository, manifest.digest, manifest)
    registry, repository = target.registry, target.repository
    if not native:
        keep_index(registry, repository, subject, there.index, [*there.own, *there.others, *found.own, *found.others])
    layers = descriptors(found.attestations, "layers")
    done += copy_blobs(source, target, layers, progress)
    keep_attestations(registry, repository, subject, there.attestations, layers)
    return done
