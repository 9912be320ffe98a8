"""Evidence in the registry beside the image (OCI image-spec 1.1, referrers), so that any machine can check it.

Each statement has a tag of its own, which is the truth. The index under `sha256-<hex>` (the specification's referrers
tag schema) is a view for other programs: registries have no compare-and-swap, so that it may lose an entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relman.evidence.statement import MAX_STATEMENT
from relman.model.errors import RegistryError
from relman.model.image import Digest, ManifestDigest, Repository
from relman.registry.client import Registry
from relman.registry.manifest import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, Manifest, digest_in

IN_TOTO = "application/vnd.in-toto+json"
EVIDENCE_TAGS = "sha256-"
MAX_CANDIDATES = 100
INDEX_ATTEMPTS = 5
_OWN_TAG = re.compile(r"sha256-[0-9a-f]{64}\.[0-9a-f]{32}")


@dataclass(frozen=True)
class Envelope:
    """A statement as it is stored."""

    media_type: str
    content: bytes


class Seal(Protocol):
    """How statements are put into envelopes and, if they can be trusted, taken out again."""

    def wrap(self, payload: bytes) -> Envelope:
        """Put a statement into an envelope."""

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """The statement, or None if the envelope is of another kind or not to be trusted."""


class Unsigned:
    """The plain statement: it says as much as the right to push to the repository does."""

    def wrap(self, payload: bytes) -> Envelope:
        """The statement as it is."""
        return Envelope(IN_TOTO, payload)

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """The statement as it is."""
        return envelope.content if envelope.media_type == IN_TOTO else None


UNSIGNED: Seal = Unsigned()


def attach(registry: Registry, repository: Repository, subject: Manifest, envelope: Envelope) -> ManifestDigest:
    """Store `envelope` beside `subject`; storing it twice changes nothing. Raises what Registry raises."""
    evidence = _evidence(registry, repository, subject, envelope)
    listed = registry.put_referrer(repository, own_tag(subject.digest, envelope), evidence)
    if not listed:
        _list_in_index(
            registry, repository, subject.digest, {**evidence.descriptor(), "artifactType": envelope.media_type}
        )
    return evidence.digest


def find(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    *,
    seal: Seal = UNSIGNED,
    tags: Sequence[str] | None = None,
) -> list[bytes]:
    """All statements stored beside `subject` (the first MAX_CANDIDATES), in no order that means anything.

    What they are about is for the gate to read: no annotation or descriptor is believed. `tags` spares the listing.
    Raises what Registry raises.
    """
    tags = registry.tags(repository) if tags is None else tags
    return [
        statement
        for manifest in _candidates(registry, repository, subject, tags)
        for envelope in _envelopes(registry, repository, manifest)
        if (statement := seal.unwrap(envelope)) is not None
    ]


def own_tag(subject: ManifestDigest, envelope: Envelope) -> str:
    """The tag under which one envelope about `subject` is kept: it follows from the content."""
    return f"{index_tag(subject)}.{Digest.of(envelope.content).hex[:32]}"


def index_tag(subject: ManifestDigest) -> str:
    """The tag of the referrers' index (distribution-spec, referrers tag schema)."""
    return f"{EVIDENCE_TAGS}{subject.hex}"


def _evidence(registry: Registry, repository: Repository, subject: Manifest, envelope: Envelope) -> Manifest:
    return Manifest.of(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": envelope.media_type,
            "config": _stored(registry, repository, Envelope(OCI_EMPTY, b"{}")),
            "layers": [_stored(registry, repository, envelope)],
            "subject": subject.descriptor(),
        }
    )


def _stored(registry: Registry, repository: Repository, blob: Envelope) -> dict[str, Any]:
    digest = registry.put_blob(repository, blob.content)
    return {"mediaType": blob.media_type, "digest": str(digest), "size": len(blob.content)}


def _list_in_index(registry: Registry, repository: Repository, subject: ManifestDigest, entry: dict[str, Any]) -> None:
    """Add `entry`, and look whether it stayed: another writer may have put an index without it. Not staying is no
    error, because the entry's own tag is the truth."""
    for _ in range(INDEX_ATTEMPTS):
        entries = _listed(registry.find(repository, index_tag(subject)))
        if any(e.get("digest") == entry["digest"] for e in entries):
            return
        try:
            registry.put_manifest(repository, index_tag(subject), _index([*entries, entry]))
        except RegistryError:
            # It refuses an index that names what was deleted since.
            living = [e for e in entries if registry.has(repository, ManifestDigest(digest_in(e).value))]
            registry.put_manifest(repository, index_tag(subject), _index([*living, entry]))


def _index(entries: list[dict[str, Any]]) -> Manifest:
    return Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def _candidates(
    registry: Registry, repository: Repository, subject: ManifestDigest, tags: Sequence[str]
) -> Iterator[Manifest]:
    seen: set[ManifestDigest] = set()
    own = [t for t in tags if t.startswith(index_tag(subject)) and _OWN_TAG.fullmatch(t)]
    index = registry.find(repository, index_tag(subject)) if index_tag(subject) in tags else None
    references: list[str | ManifestDigest] = [*own, *_digests(index)]
    for reference in references[:MAX_CANDIDATES]:
        if reference in seen or (found := registry.find(repository, reference)) is None or found.digest in seen:
            continue
        seen.add(found.digest)
        yield found


def _envelopes(registry: Registry, repository: Repository, evidence: Manifest) -> Iterator[Envelope]:
    for layer in _listed(evidence, "layers"):
        # A larger one (a list of all packages, say) is no test result; a false size is an error of the registry.
        if isinstance(size := layer.get("size"), int) and size <= MAX_STATEMENT:
            content = registry.blob(repository, digest_in(layer), limit=MAX_STATEMENT)
            yield Envelope(str(layer.get("mediaType")), content)


def _listed(manifest: Manifest | None, key: str = "manifests") -> list[dict[str, Any]]:
    """The descriptors with a digest in what anybody may have put there: nothing if it cannot be read."""
    try:
        descriptors = manifest.list_of(key) if manifest else []
    except RegistryError:
        return []
    return [d for d in descriptors if _has_digest(d)]


def _has_digest(descriptor: dict[str, Any]) -> bool:
    try:
        digest_in(descriptor)
    except RegistryError:
        return False
    return True


def _digests(index: Manifest | None) -> list[ManifestDigest]:
    return [ManifestDigest(digest_in(d).value) for d in _listed(index)]
