"""Describe an image in a registry: digests, platform, labels and configuration.

Specification: OCI image-spec 1.1, Image Configuration
(https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md#properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from relman.model.errors import RegistryError, UnknownTag, UsageError
from relman.model.image import ConfigDigest, ManifestDigest, Platform, Repository
from relman.model.image_config import declares_healthcheck, exposed_ports
from relman.registry.client import MAX_BLOB, Registry
from relman.registry.manifest import Manifest, digest_in
from relman.registry.strictjson import load_object

MAX_TEXT = 128
_Kind = TypeVar("_Kind")
_KINDS: Mapping[type, str] = {dict: "mapping", list: "list", str: "text"}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}


class SeveralPlatforms(UsageError):
    """An index has images for several platforms, and no platform was given."""


@dataclass(frozen=True)
class ImageDescription:
    """One image. `resolved` is the manifest or index that the reference names, `manifest` that of the one platform;
    they differ only for an index. `created` is RFC 3339 or empty."""

    resolved: Manifest
    manifest: Manifest
    config: ConfigDigest
    platform: Platform
    labels: Mapping[str, str]
    volumes: tuple[str, ...]
    exposed_ports: tuple[tuple[int, str], ...]
    has_healthcheck: bool
    entrypoint: tuple[str, ...]
    created: str


def describe(
    registry: Registry, repository: Repository, reference: str | ManifestDigest, platform: Platform | None = None
) -> ImageDescription:
    """Resolve `reference` and read the configuration of its image for `platform`.

    None takes the only image. Raises UnknownTag if there is no such tag, digest or platform, SeveralPlatforms if
    `platform` is needed, UsageError if the reference is not an image, and what Registry raises.
    """
    return describe_resolved(registry, repository, registry.resolve(repository, reference), reference, platform)


def describe_resolved(
    registry: Registry,
    repository: Repository,
    resolved: Manifest,
    reference: str | ManifestDigest,
    platform: Platform | None = None,
) -> ImageDescription:
    """Like `describe`, for a reference that was resolved already."""
    manifest = resolved
    if resolved.is_index:
        child = choose(platforms(resolved), platform, f"{repository.name}:{reference}")
        manifest = registry.resolve(repository, child)
    content = registry.blob(repository, manifest.config)
    described = read_config(resolved, manifest, content, f"{repository.name}:{reference}")
    if platform and not _fits(described.platform, platform):
        raise UnknownTag(f"{repository.name}:{reference} is for {described.platform}, not for {platform}")
    return described


def platforms(index: Manifest) -> dict[Platform, ManifestDigest]:
    """The images in an index, by platform; entries without a real platform (attestations) are omitted."""
    found: dict[Platform, ManifestDigest] = {}
    for entry in index.list_of("manifests"):
        said = entry.get("platform")
        if isinstance(said, dict) and said.get("architecture") not in (None, "unknown"):
            try:
                platform = _platform(said)
            except ValueError as error:
                raise RegistryError(f"a platform in the index {index.digest} cannot be read: {error}") from error
            found.setdefault(platform, ManifestDigest(digest_in(entry).value))
    return found


def choose(children: Mapping[Platform, ManifestDigest], platform: Platform | None, name: str) -> ManifestDigest:
    """The child for `platform`; None takes the only one. Raises UnknownTag, or SeveralPlatforms if there are
    several."""
    known = ", ".join(map(str, sorted(children)))
    if platform is None:
        if len(children) == 1:
            return next(iter(children.values()))
        raise SeveralPlatforms(f"{name} is for several platforms: {known or 'none'}", hint="Name one of them.")
    for candidate in sorted(children, key=lambda c: c != platform):
        if _fits(candidate, platform):
            return children[candidate]
    raise UnknownTag(f"{name} has no image for {platform}, only for {known or 'nothing'}")


def read_config(resolved: Manifest, manifest: Manifest, content: bytes, name: str = "an image") -> ImageDescription:
    """Describe the image whose configuration is `content`; errors call it `name`. Raises RegistryError if a field of it
    has the wrong type."""
    try:
        document = load_object(content, limit=MAX_BLOB)
        run = _mapping(document, "config")
        test = _typed(_mapping(run, "Healthcheck"), "Test", list) or ()
        labels = _mapping(run, "Labels")
        return ImageDescription(
            resolved=resolved,
            manifest=manifest,
            config=manifest.config,
            platform=_platform(document),
            labels={label: _typed(labels, label, str) or "" for label in labels},
            volumes=tuple(sorted(_mapping(run, "Volumes"))),
            exposed_ports=exposed_ports(_mapping(run, "ExposedPorts")),
            has_healthcheck=declares_healthcheck(test),
            entrypoint=tuple(map(str, _typed(run, "Entrypoint", list) or ())),
            created=_short(document, "created"),
        )
    except ValueError as error:
        raise RegistryError(f"the configuration {manifest.config} of {name} cannot be read: {error}") from error


def _typed(section: Mapping[str, Any], key: str, kind: type[_Kind]) -> _Kind | None:
    """The value under `key`, or None. Raises ValueError if it has another type."""
    found = section.get(key)
    if found is not None and not isinstance(found, kind):
        raise ValueError(f"{key[:80]!r} in it is not a {_KINDS[kind]}")
    return found


def _mapping(section: Mapping[str, Any], key: str) -> dict[str, Any]:
    return _typed(section, key, dict) or {}


def _short(section: Mapping[str, Any], key: str) -> str:
    """The text under `key`, or "". Raises ValueError if it is long or not printable."""
    text = _typed(section, key, str) or ""
    if len(text) > MAX_TEXT or not text.isprintable():
        raise ValueError(f"{key!r} in it is longer than {MAX_TEXT} characters, or not printable")
    return text


def _platform(said: Mapping[str, Any]) -> Platform:
    return Platform(*(_short(said, key) for key in ("os", "architecture", "variant")))


def _fits(candidate: Platform, wanted: Platform) -> bool:
    default = _DEFAULT_VARIANTS.get(wanted.architecture, "")
    return (candidate.os, candidate.architecture, candidate.variant or default) == (
        wanted.os,
        wanted.architecture,
        wanted.variant or default,
    )
