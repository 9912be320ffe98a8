"""Evidence put beside images, and read back, without a promotion."""

from __future__ import annotations

from collections.abc import Sequence

from relman.evidence.attach import Addition, write
from relman.evidence.envelopes import UNSIGNED, Envelope, Opened, Seal
from relman.evidence.store import look, run_parallel
from relman.model.image import ManifestDigest, Repository
from relman.registry.blobs import RepositoryClient
from relman.registry.client import Registry
from relman.registry.manifest import Manifest


def attach(registry: Registry, repository: Repository, subject: Manifest, envelopes: Sequence[Envelope]) -> None:
    """Store envelopes beside `subject`, as a promotion does."""
    stored = look(registry, repository, subject.digest)
    addition = Addition.to(RepositoryClient(registry, repository), subject, stored, envelopes)
    left, _ = write(addition.place, [addition], lambda: None)
    run_parallel(left)


def find(registry: Registry, repository: Repository, subject: ManifestDigest, *, seal: Seal = UNSIGNED) -> list[Opened]:
    """All statements stored beside `subject`."""
    return look(registry, repository, subject).opened(seal)
