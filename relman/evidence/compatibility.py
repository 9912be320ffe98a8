"""The views of what is stored beside an image, for other programs, and how they are kept whole.

The index under `sha256-<hex>` (distribution-spec, referrers tag schema) is for registries without a referrers API; the
`.att` manifest is where cosign looks for attestations. Another writer may overwrite either at any time, so each is read
again after it is written; what another writer lost all the same, the next one adds.
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
    """The annotations by which programs of sigstore find a bundle; nothing decides by them."""
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
    """Have all manifests in the index. Not staying is no error, because each one's own tag is the truth."""
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
            # It refuses an index that names what was deleted since.
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
    """Have all these layers, whose blobs are there, in cosign's manifest; as `keep_index`."""
    tag = store.attestation_tag(subject)
    for _ in range(ATTEMPTS):
        wanted = attestations(there, layers)
        if wanted is None:
            return
        registry.put_blob(repository, config_of(wanted.list_of("layers")))
        registry.put_manifest(repository, tag, wanted)
        there = registry.find(repository, tag)


def attestations(there: Manifest | None, layers: Sequence[dict[str, Any]]) -> Manifest | None:
    """Cosign's manifest with these layers too; None where it has them all."""
    known = descriptors(there, "layers")
    names = {d["digest"] for d in known}
    missing = [d for d in layers if d["digest"] not in names]
    if not missing:
        return None
    config = store.described(Envelope(_CONFIG, config_of([*known, *missing])))
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [*known, *missing]}
    return Manifest.of(document)


def layer_of(envelope: Envelope) -> dict[str, Any]:
    """The layer of cosign's manifest that is this envelope."""
    notes = {"dev.cosignproject.cosign/signature": "", "predicateType": _predicate_type(envelope)}
    return {**store.described(envelope), "annotations": notes}


def config_of(layers: Sequence[dict[str, Any]]) -> bytes:
    """The configuration of an image of these layers, as cosign wants one: layers are not compressed."""
    history = [{"created": "0001-01-01T00:00:00Z"} for _ in layers]
    root = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    return json.dumps(
        {"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "history": history}
        | {"config": {}, "rootfs": root},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()


def _entry(manifest: Manifest) -> dict[str, Any]:
    """The descriptor of an evidence manifest in the index, with what the specification wants copied from it."""
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
