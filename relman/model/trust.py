"""Trusted keys: what each may sign, when, and whether it was revoked. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from relman.model.image import ManifestDigest


@dataclass(frozen=True)
class Grant:
    """What a key may sign: statements of these predicate `types` about images in `repositories`, which are patterns
    such as `registry.example.com/team/*`."""

    types: tuple[str, ...]
    repositories: tuple[str, ...]


@dataclass(frozen=True)
class Revocation:
    """A key is no longer trusted, whatever time a statement claims, because a thief can backdate. Only statements about
    the images in `accepted`, known to be good when it was revoked, still count."""

    at: datetime
    reason: str
    accepted: frozenset[ManifestDigest] = frozenset()


@dataclass(frozen=True)
class TrustedKey:
    """A public key (PEM, SubjectPublicKeyInfo) with its `name`, valid for statements made from `start` until `end`
    (None: unlimited). A rotated key has an end; what it signed before stays valid."""

    name: str
    public: bytes
    grants: tuple[Grant, ...]
    start: datetime | None = None
    end: datetime | None = None
    revoked: Revocation | None = None


@dataclass(frozen=True)
class Trust:
    """All trusted keys by name; `origin` is their file."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)
    origin: str = ""
