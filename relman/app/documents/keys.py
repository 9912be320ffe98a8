"""Documents of signing keys, and of the keys in a trust.yml."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from relman.app.keys import public_half
from relman.evidence.keys import PublicKey
from relman.model.formats.clock import rfc3339
from relman.model.image import ManifestDigest
from relman.model.trust import TrustedKey


def key_document(key: PublicKey) -> dict[str, Any]:
    """The public half of a key."""
    return {"id": key.id, "algorithm": key.algorithm, "public": key.pem.decode()}


def trust_document(file: str, keys: Sequence[TrustedKey]) -> dict[str, Any]:
    """The keys in a trust.yml: what each may sign, and when."""
    return {"file": file, "keys": [_trusted(key) for key in keys]}


def revoked_document(file: str, name: str, accepted: Collection[ManifestDigest]) -> dict[str, Any]:
    """A revoked key, with the `accepted` images whose statements still count."""
    return {"file": file, "key": name, "accepted": sorted(map(str, accepted))}


def _trusted(key: TrustedKey) -> dict[str, Any]:
    public = public_half(key)
    return {
        "name": key.name,
        "id": public.id,
        "algorithm": public.algorithm,
        "valid_from": rfc3339(key.start) if key.start else None,
        "valid_until": rfc3339(key.end) if key.end else None,
        "revoked": key.revoked.reason if key.revoked else None,
        "signs": [{"types": list(g.types), "repositories": list(g.repositories)} for g in key.grants],
    }
