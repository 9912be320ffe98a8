"""Manifests as a registry stores them: the bytes, their media type, and their content.

Specification: OCI image-spec 1.1, Image Manifest
(https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md), Image Index (image-index.md) and Content
Descriptors (descriptor.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relman.model.errors import RegistryError, UsageError
from relman.model.image import ConfigDigest, Digest, ManifestDigest
from relman.registry.strictjson import load_object

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
MAX_MANIFEST = 4 << 20
MAX_SIZE = 1 << 40
"""The largest size of a blob that is accepted, in bytes; real layers have some gigabytes."""

_LONGEST = 100
"""Characters of an invalid digest that an error quotes."""
_INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
_CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")


@dataclass(frozen=True)
class Manifest:
    """One manifest or index, byte for byte. Its digest is computed from the bytes, whatever the registry claims."""

    content: bytes
    media_type: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Manifest:
        """Serialise `document`, which contains its mediaType; equal documents give equal bytes."""
        content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return cls(content, str(document["mediaType"]))

    @cached_property
    def digest(self) -> ManifestDigest:
        """The SHA-256 of the bytes."""
        return ManifestDigest.of(self.content)

    @property
    def is_index(self) -> bool:
        """Whether it is an index of manifests, one for each platform."""
        return self.media_type in _INDEX_TYPES

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed JSON. Raises RegistryError unless it is one unambiguous manifest of this media type."""
        try:
            document = load_object(self.content, limit=MAX_MANIFEST)
        except ValueError as error:
            raise RegistryError(f"the manifest {self.digest} cannot be read: {error}") from error
        stray = {"manifests"} if not self.is_index else {"config", "layers"}
        if self.media_type not in MANIFEST_TYPES or document.get("mediaType", self.media_type) != self.media_type:
            raise RegistryError(f"the manifest {self.digest} is not the {self.media_type[:100]!r} that it is called")
        if stray & document.keys():
            raise RegistryError(f"the manifest {self.digest} is a manifest and an index at once")
        return document

    @property
    def config(self) -> ConfigDigest:
        """The digest of the image's configuration. Raises UsageError if this is not a container image."""
        config = self.document.get("config")
        if not isinstance(config, dict) or config.get("mediaType") not in _CONFIG_TYPES:
            raise UsageError(
                f"{self.digest} is not a container image", hint="It may be an index, a chart or a statement."
            )
        return ConfigDigest(digest_in(config).value)

    def list_of(self, key: str) -> list[dict[str, Any]]:
        """The descriptors under `key` (layers, manifests). Raises RegistryError if they are malformed."""
        found = self.document.get(key, [])
        if not isinstance(found, list) or not all(isinstance(d, dict) for d in found):
            raise RegistryError(f"`{key}` of the manifest {self.digest} is not a list of descriptors")
        return found

    def descriptor(self) -> dict[str, Any]:
        """The OCI descriptor of these bytes."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": len(self.content)}


def size_in(descriptor: Mapping[str, Any]) -> int:
    """The size in an OCI descriptor, in bytes. Raises RegistryError if there is none."""
    size = descriptor.get("size")
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise RegistryError(f"the descriptor of {digest_in(descriptor)} has no size")
    return size


def digest_in(descriptor: Mapping[str, Any]) -> Digest:
    """The digest in an OCI descriptor. Raises RegistryError unless it is a SHA-256."""
    try:
        return Digest(str(descriptor.get("digest"))[:_LONGEST])
    except UsageError as error:
        raise RegistryError(f"a descriptor has no sha256 digest: {error.what}") from error
