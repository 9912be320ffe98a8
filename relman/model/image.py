"""Identities of images: three kinds of digest that never compare equal, and references.

Specifications: OCI image-spec 1.1, Digests
(https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests); OCI distribution-spec 1.1, Pulling
manifests, for names and tags
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from relman.model.errors import UsageError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(
    r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:)|\[[0-9a-fA-F:]+\])(?::\d{1,5})?"
)
HUB = "index.docker.io"
HUB_NAMES = ("docker.io", HUB)
"""The names of Docker Hub in references."""


@dataclass(frozen=True, order=True)
class Digest:
    """`sha256:` and 64 lower-case hexadecimal digits. Raises UsageError for anything else."""

    value: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.value):
            raise UsageError(f"{self.value!r} is not a sha256 digest")

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The digest of these bytes."""
        return cls(f"sha256:{hashlib.sha256(content).hexdigest()}")

    @property
    def hex(self) -> str:
        """The 64 digits."""
        return self.value.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """The first 12 digits: for display, never for comparison."""
        return self.hex[:12]

    def __str__(self) -> str:
        return self.value


class ManifestDigest(Digest):
    """The digest of a manifest's (or index's) bytes: the registry's identity of an image."""


class ConfigDigest(Digest):
    """The digest of an image's configuration: the identity of what was tested, whatever manifest refers to it."""


class ImageId(Digest):
    """An engine's identity of an image: the config digest in the classic store, the manifest digest in the containerd
    store."""


def check_tag(tag: str) -> str:
    """Return `tag` if it is a valid tag (distribution-spec 1.1, Pulling manifests), else raise UsageError."""
    if not _TAG.fullmatch(tag):
        raise UsageError(
            f"{tag!r} is not a tag",
            hint="A tag is 1 to 128 of A-Z a-z 0-9 _ . - and does not start with . or -",
        )
    return tag


@dataclass(frozen=True, order=True)
class Repository:
    """A repository in a registry: `registry` is host[:port], `name` the path in it."""

    registry: str
    name: str

    def __post_init__(self) -> None:
        if not _REGISTRY.fullmatch(self.registry):
            raise UsageError(f"{self.registry!r} is not a registry's host[:port]")
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is not a repository name (lower case, digits and . _ - / between them)")

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Parse `host[:port]/name`. Raises UsageError."""
        registry, _, name = text.partition("/")
        return cls(registry, name)

    def tag(self, tag: str) -> str:
        """The reference `registry/name:tag`. Raises UsageError for an invalid tag."""
        return f"{self}:{check_tag(tag)}"

    def at(self, digest: Digest) -> str:
        """The reference `registry/name@sha256:…`."""
        return f"{self}@{digest}"

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


@dataclass(frozen=True)
class ImageRef:
    """An image in a registry, by tag or by digest."""

    repository: Repository
    reference: str | ManifestDigest

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Parse `host[:port]/name:tag` or `host[:port]/name@sha256:…`. Raises UsageError."""
        if "@" in text:
            name, _, digest = text.partition("@")
            return cls(Repository.parse(name), ManifestDigest(digest))
        name, colon, tag = text.rpartition(":")
        if not colon or "/" in tag:
            raise UsageError(
                f"{text!r} has no tag and no digest",
                hint="Write it as REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…",
            )
        return cls(Repository.parse(name), check_tag(tag))

    def __str__(self) -> str:
        mark = "@" if isinstance(self.reference, ManifestDigest) else ":"
        return f"{self.repository}{mark}{self.reference}"


@dataclass(frozen=True, order=True)
class Platform:
    """The platform of an image or a host (OCI image-spec 1.1, Image Index, `platform`)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse `os/architecture` or `os/architecture/variant`, such as linux/arm64. Raises UsageError."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts):
            raise UsageError(f"{text!r} is not a platform", hint="Write it as linux/amd64 or linux/arm64/v8.")
        return cls(*parts)

    def is_for(self, wanted: Platform) -> bool:
        """Whether this is the wanted platform; without a wanted variant any will do, and arm64 means arm64/v8."""
        usual = {"arm64": "v8"}.get(self.architecture, "")
        variants = ("", self.variant or usual)
        return (self.os, self.architecture) == (wanted.os, wanted.architecture) and wanted.variant in variants

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
