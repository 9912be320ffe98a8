"""What an image in a registry is: digests, platform, labels and the rest of its configuration (OCI image-spec)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relman.model.errors import RegistryError, UnknownTag, UsageError
from relman.model.image import ConfigDigest, ManifestDigest, Platform, Repository
from relman.registry.client import MAX_BLOB, Registry
from relman.registry.manifest import Manifest, digest_in
from relman.registry.strictjson import load_object

_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}


class SeveralPlatforms(UsageError):
    """An index has images for several platforms, and nobody said which is meant."""


@dataclass(frozen=True)
class ImageDescription:
    """One image. `resolved` is what the reference names (a manifest or an index), `manifest` the image of the one
    platform; they are the same unless `resolved` is an index. `created` is RFC 3339 or empty."""

    resolved: Manifest
    manifest: Manifest
    config: ConfigDigest
    platform: Platform
    labels: Mapping[str, str]
    volumes: tuple[str, ...]
    exposed_ports: tuple[tuple[int, str], ...]
    has_healthcheck: bool
    created: str


def describe(
    registry: Registry, repository: Repository, reference: str | ManifestDigest, platform: Platform | None = None
) -> ImageDescription:
    """Resolve `reference` and read the configuration of its image for `platform`.

    None takes the only image there is. Raises UnknownTag if there is no such tag, digest or platform, SeveralPlatforms
    if `platform` is needed, UsageError if the reference is no image, and what Registry raises.
    """
    return describe_resolved(registry, repository, registry.resolve(repository, reference), reference, platform)


def describe_resolved(
    registry: Registry,
    repository: Repository,
    resolved: Manifest,
    reference: str | ManifestDigest,
    platform: Platform | None = None,
) -> ImageDescription:
    """As `describe`, of what `reference` was resolved to already."""
    manifest = resolved
    if resolved.is_index:
        child = choose(platforms(resolved), platform, f"{repository.name}:{reference}")
        manifest = registry.resolve(repository, child)
    described = read_config(resolved, manifest, registry.blob(repository, manifest.config))
    if platform and not _fits(described.platform, platform):
        raise UnknownTag(f"{repository.name}:{reference} is for {described.platform}, not for {platform}")
    return described


def platforms(index: Manifest) -> dict[Platform, ManifestDigest]:
    """The images in an index, by platform; what has no platform of a machine (attestations) is left out."""
    found: dict[Platform, ManifestDigest] = {}
    for entry in index.list_of("manifests"):
        said = entry.get("platform")
        if isinstance(said, dict) and said.get("architecture") not in (None, "unknown"):
            found.setdefault(_platform(said), ManifestDigest(digest_in(entry).value))
    return found


def choose(children: Mapping[Platform, ManifestDigest], platform: Platform | None, name: str) -> ManifestDigest:
    """The child for `platform`; None takes the only one. Raises UnknownTag, or SeveralPlatforms if it must be named."""
    known = ", ".join(map(str, sorted(children)))
    if platform is None:
        if len(children) == 1:
            return next(iter(children.values()))
        raise SeveralPlatforms(f"{name} is for several platforms: {known or 'none'}", hint="Name one of them.")
    for candidate in sorted(children, key=lambda c: c != platform):
        if _fits(candidate, platform):
            return children[candidate]
    raise UnknownTag(f"{name} has no image for {platform}, only for {known or 'nothing'}")


def read_config(resolved: Manifest, manifest: Manifest, content: bytes) -> ImageDescription:
    """Describe the image whose configuration is `content`. Raises RegistryError if it is malformed."""
    try:
        document = load_object(content, limit=MAX_BLOB)
        run = document.get("config") or {}
        health = run.get("Healthcheck") or {}
        return ImageDescription(
            resolved=resolved,
            manifest=manifest,
            config=manifest.config,
            platform=_platform(document),
            labels={str(name): str(value) for name, value in (run.get("Labels") or {}).items()},
            volumes=tuple(sorted(run.get("Volumes") or {})),
            exposed_ports=_ports(run.get("ExposedPorts") or {}),
            has_healthcheck=(health.get("Test") or ["NONE"])[0] not in ("NONE", ""),
            created=str(document.get("created") or ""),
        )
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise RegistryError(f"the configuration {manifest.config} cannot be read: {error}") from error


def _platform(said: Mapping[str, Any]) -> Platform:
    return Platform(*(str(said.get(key) or "") for key in ("os", "architecture", "variant")))


def _fits(candidate: Platform, wanted: Platform) -> bool:
    default = _DEFAULT_VARIANTS.get(wanted.architecture, "")
    return (candidate.os, candidate.architecture, candidate.variant or default) == (
        wanted.os,
        wanted.architecture,
        wanted.variant or default,
    )


def _ports(exposed: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    pairs = (text.partition("/") for text in exposed)
    return tuple(sorted((int(port), protocol or "tcp") for port, _, protocol in pairs if port.isdecimal()))
