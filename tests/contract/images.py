"""Images made by hand: a configuration, one small layer, a manifest. No engine needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from relman.model.image import Platform, Repository
from relman.registry.client import Registry
from relman.registry.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64", "v8")

_CONFIG = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}


def push_image(
    registry: Registry,
    repository: Repository,
    tag: str = "run-shop-1",
    *,
    labels: Mapping[str, str] | None = None,
    platform: Platform = AMD64,
    media_type: str = OCI_MANIFEST,
    run: Mapping[str, Any] | None = None,
) -> Manifest:
    """Push an image under `tag` whose configuration differs with every argument."""
    config = {
        "created": "2026-01-02T03:04:05Z",
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "config": {"Labels": dict(labels or {}), **(run or {})},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    blobs = [
        {"mediaType": kind, "digest": str(registry.put_blob(repository, content)), "size": len(content)}
        for kind, content in [
            (_CONFIG[media_type], json.dumps(config).encode()),
            ("application/vnd.oci.image.layer.v1.tar", b"a layer"),
        ]
    ]
    manifest = Manifest.of({"schemaVersion": 2, "mediaType": media_type, "config": blobs[0], "layers": blobs[1:]})
    registry.put_manifest(repository, tag, manifest)
    return manifest


def push_index(registry: Registry, repository: Repository, tag: str, children: Mapping[Platform, Manifest]) -> Manifest:
    """Push an index of `children` and, as buildx does, an attestation that is no image."""
    entries = [
        {**child.descriptor(), "platform": {"os": p.os, "architecture": p.architecture, "variant": p.variant}}
        for p, child in children.items()
    ]
    attestation = next(iter(children.values())).descriptor()
    entries.append({**attestation, "platform": {"os": "unknown", "architecture": "unknown"}})
    index = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    registry.put_manifest(repository, tag, index)
    return index
