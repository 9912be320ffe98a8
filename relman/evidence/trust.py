"""Whether a signed statement counts: pure decisions from trusted keys, the statement and the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from relman.evidence.rules import Rule
from relman.evidence.test_result import Statement
from relman.model.image import ManifestDigest, Repository
from relman.model.trust import Grant, TrustedKey

SKEW = timedelta(minutes=5)
"""How far the clocks of those who sign and those who check may be apart."""


def refusal(
    key: TrustedKey, statement: Statement, images: Iterable[ManifestDigest], repository: Repository, now: datetime
) -> str:
    """Why a statement with this key's signature does not count for `images` (the same image, and the index that holds
    it) in `repository`; "" when it counts.

    A revoked key counts only for images accepted at its revocation: the time that a statement claims is the claim of
    whoever holds the key, a thief too. A statement that claims no time is taken as made now.
    """
    if key.revoked and not key.revoked.accepted & set(images):
        return f"the key {key.name} is revoked since {key.revoked.at:%Y-%m-%d} (rule {Rule.REVOKED})"
    if not any(_grants(grant, statement.predicate_type, repository) for grant in key.grants):
        return (
            f"the key {key.name} may not sign a {statement.predicate_type[:100]} about {repository} "
            f"(rule {Rule.GRANTED})"
        )
    claimed = statement.time
    if claimed and claimed > now + SKEW:
        return f"it claims to be of {claimed:%Y-%m-%dT%H:%M:%SZ}, which is in the future (rule {Rule.NOT_FUTURE})"
    return window_refusal(key, claimed or now)


def window_refusal(key: TrustedKey, moment: datetime) -> str:
    """Why the key was not to be used at this time; "" when it was."""
    if key.start and moment < key.start - SKEW:
        return f"the key {key.name} is not valid before {key.start:%Y-%m-%dT%H:%M:%SZ} (rule {Rule.IN_TIME})"
    if key.end and moment >= key.end:
        return f"the key {key.name} is not valid since {key.end:%Y-%m-%dT%H:%M:%SZ} (rule {Rule.IN_TIME})"
    return ""


def _grants(grant: Grant, predicate_type: str, repository: Repository) -> bool:
    return predicate_type in grant.types and any(fnmatchcase(str(repository), p) for p in grant.repositories)
