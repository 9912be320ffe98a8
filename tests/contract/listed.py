"""The releases of a repository, all of them."""

from __future__ import annotations

from collections.abc import Collection

from relman.evidence.assessment import Criteria
from relman.evidence.listing import ListedRelease, Listing
from relman.model.image import Repository
from relman.registry.client import Registry


def list_releases(
    registry: Registry, repository: Repository, *, channels: Collection[str] = (), check: Criteria | None = None
) -> list[ListedRelease]:
    """Every tag of the listing but `channels`."""
    listing = Listing(registry, repository, check=check)
    return listing.read([tag for tag in listing.tags if tag not in channels])
