"""Decide whether a signed statement counts, from the trusted keys, the statement and the time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from relman.evidence.rules import RuleName
from relman.evidence.test_result import Statement
from relman.model.image import ManifestDigest, Repository
from relman.model.trust import Grant, TrustedKey

SKEW = timedelta(minutes=5)
"""The tolerated difference between the clocks of signers and verifiers."""


def refusal(
    key: TrustedKey, statement: Statement, images: Iterable[ManifestDigest], repository: Repository, now: datetime
) -> str:
    """Why a statement signed by this key does not count for `images` (an image and its index) in `repository`; "" if it
    does.

    A revoked key counts only for the images accepted at its revocation: a thief of the key can claim any earlier time.
    A statement without a time is taken as made now.
    """
    if key.revoked and not key.revoked.accepted & set(images):
        return f"the key {key.name} is revoked since {key.revoked.at:%Y-%m-%d} (rule {RuleName.REVOKED})"
    if not any(_grants(grant, statement.predicate_type, repository) for grant in key.grants):
        return (
            f"the key {key.name} may not sign a {statement.predicate_type[:100]} about {repository} "
            f"(rule {RuleName.GRANTED})"
        )
    claimed = statement.time
    if claimed and claimed > now + SKEW:
        return f"it claims to be of {claimed:%Y-%m-%dT%H:%M:%SZ}, which is in the future (rule {RuleName.NOT_FUTURE})"
    return window_refusal(key, claimed or now)


def window_refusal(key: TrustedKey, moment: datetime) -> str:
    """Why the key was not valid at this time; "" if it was."""
    if key.start and moment < key.start - SKEW:
        return f"the key {key.name} is not valid before {key.start:%Y-%m-%dT%H:%M:%SZ} (rule {RuleName.IN_TIME})"
    if key.end and moment >= key.end:
        return f"the key {key.name} is not valid since {key.end:%Y-%m-%dT%H:%M:%SZ} (rule {RuleName.IN_TIME})"
    return ""


def _grants(grant: Grant, predicate_type: str, repository: Repository) -> bool:
    return predicate_type in grant.types and any(fnmatchcase(str(repository), p) for p in grant.repositories)
