"""Whom to trust with what: keys, what each may sign, when, and what became of it. Values only."""

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
    """A key that is not trusted any more, whatever time a statement claims: whoever stole it can backdate.

    Only statements about the images in `accepted` still count, which were known to be good when it was revoked.
    """

    at: datetime
    reason: str
    accepted: frozenset[ManifestDigest] = frozenset()


@dataclass(frozen=True)
class TrustedKey:
    """A public key (PEM, SubjectPublicKeyInfo) by its `name`. It is good for statements made from `start` up to `end`
    (None: without end); a key that was rotated out has an end, and what it signed before stays good."""

    name: str
    public: bytes
    grants: tuple[Grant, ...]
    start: datetime | None = None
    end: datetime | None = None
    revoked: Revocation | None = None


@dataclass(frozen=True)
class Trust:
    """All trusted keys by name; `origin` is the file that says so."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)
    origin: str = ""
