"""The views of an image's evidence that other programs read, and how they are kept complete.

The index under `sha256-<hex>` is for registries without a referrers API (OCI distribution-spec 1.1, Referrers Tag
Schema: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema). The manifest
under `sha256-<hex>.att` is where cosign looks for attestations
(https://github.com/sigstore/cosign/blob/main/specs/ATTESTATION_SPEC.md).

Registries have no compare-and-swap, so another writer may overwrite either view. relman reads each again after it wrote
it, and the next writer adds whatever was lost nevertheless.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from relman.evidence import store
from relman.evidence.dsse import BUNDLE
from relman.evidence.envelopes import UNSIGNED, Envelope
from relman.evidence.store import descriptors
from relman.evidence.test_result import read_statement
from relman.model.errors import PolicyRefused, RegistryError
from relman.model.image import ManifestDigest, Repository
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, OCI_MANIFEST, Manifest, digest_in

ATTEMPTS = 5
_CONFIG = "application/vnd.oci.image.config.v1+json"


def notes_of(envelope: Envelope) -> dict[str, str]:
    """The annotations by which sigstore's programs find a bundle. relman decides nothing by them."""
    if envelope.media_type != BUNDLE:
        return {}
    return {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": _predicate_type(envelope),
    }


def keep_index(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    index: Manifest | None,
    manifests: Sequence[Manifest],
) -> None:
    """Add all manifests to the index, in at most ATTEMPTS writes.

    Not an error if another writer keeps overwriting it: each manifest's own tag is authoritative. Raises what Registry
    raises.
    """
    tag = store.index_tag(subject)
    for _ in range(ATTEMPTS):
        listed = descriptors(index)
        names = {d["digest"] for d in listed}
        missing = [_entry(m) for m in manifests if str(m.digest) not in names]
        if not missing:
            return
        try:
            registry.put_manifest(repository, tag, _index([*listed, *missing]))
        except RegistryError:
            # The registry refuses an index that names a manifest deleted meanwhile.
            living = [d for d in listed if registry.has(repository, ManifestDigest(digest_in(d).value))]
            registry.put_manifest(repository, tag, _index([*living, *missing]))
        index = registry.find(repository, tag)


def keep_attestations(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    there: Manifest | None,
    layers: Sequence[dict[str, Any]],
) -> None:
    """Add all layers, whose blobs the registry has, to cosign's manifest, in at most ATTEMPTS writes.

    Raises what Registry raises.
    """
    tag = store.attestation_tag(subject)
    for _ in range(ATTEMPTS):
        wanted = attestations(there, layers)
        if wanted is None:
            return
        registry.put_blob(repository, config_of(wanted.list_of("layers")))
        registry.put_manifest(repository, tag, wanted)
        there = registry.find(repository, tag)


def attestations(there: Manifest | None, layers: Sequence[dict[str, Any]]) -> Manifest | None:
    """Return cosign's manifest with these layers added; None if it has them all."""
    known = descriptors(there, "layers")
    names = {d["digest"] for d in known}
    missing = [d for d in layers if d["digest"] not in names]
    if not missing:
        return None
    config = store.described(Envelope(_CONFIG, config_of([*known, *missing])))
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [*known, *missing]}
    return Manifest.of(document)


def layer_of(envelope: Envelope) -> dict[str, Any]:
    """The layer descriptor of this envelope in cosign's manifest."""
    notes = {"dev.cosignproject.cosign/signature": "", "predicateType": _predicate_type(envelope)}
    return {**store.described(envelope), "annotations": notes}


def config_of(layers: Sequence[dict[str, Any]]) -> bytes:
    """The image configuration that cosign expects above these layers, which are not compressed."""
    history = [{"created": "0001-01-01T00:00:00Z"} for _ in layers]
    root = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    return json.dumps(
        {"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "history": history}
        | {"config": {}, "rootfs": root},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()


def _entry(manifest: Manifest) -> dict[str, Any]:
    """The descriptor of an evidence manifest in the index, with the fields that the distribution-spec requires to be
    copied."""
    copied = {key: manifest.document[key] for key in ("artifactType", "annotations") if key in manifest.document}
    return manifest.descriptor() | copied


def _index(entries: Sequence[dict[str, Any]]) -> Manifest:
    return Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


def _predicate_type(envelope: Envelope) -> str:
    opened = UNSIGNED.unwrap(envelope)
    try:
        return read_statement(opened.payload).predicate_type if opened else ""
    except PolicyRefused:
        return ""
