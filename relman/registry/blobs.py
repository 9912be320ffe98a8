"""Copy blobs of any size between repositories: mounted where possible, else streamed, never held in memory as a whole.

Specification: OCI distribution-spec 1.1, Mounting a blob from another repository
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#mounting-a-blob-from-another-repository) and
Pushing a blob in chunks (#pushing-a-blob-in-chunks); interrupted reads are resumed with Range (Pulling blobs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relman.model.errors import RegistryError, Unreachable
from relman.model.image import Digest, Repository
from relman.registry.client import Registry
from relman.registry.http.transport import PAUSES

CHUNK = 8 << 20
"""Bytes of one chunk. Some registries require at least 5 MiB for every chunk but the last."""

BlobProgress = Callable[[int], None]
"""Called with the number of bytes of a blob that are written."""


@dataclass(frozen=True)
class RepositoryClient:
    """A repository and a client of its registry."""

    registry: Registry
    repository: Repository


def copy_blob(
    source: RepositoryClient,
    target: RepositoryClient,
    digest: Digest,
    size: int,
    progress: BlobProgress = lambda _: None,
) -> bool:
    """Copy one blob unless the target has it; returns whether it was missing.

    `progress` is called with the number of bytes written so far. The bytes are checked against the digest before the
    upload is completed. Raises RegistryError if they differ, and what Registry raises.
    """
    if target.registry.has(target.repository, digest):
        return False
    location = None
    if source.registry.host == target.registry.host:
        location = target.registry.uploads.mount(target.repository, digest, source.repository)
        if location is None:
            progress(size)
            return True
    begun = [location] if location else []
    target.registry.uploads.patiently(lambda: _stream(source, target, digest, size, progress, begun))
    return True


def _stream(
    source: RepositoryClient,
    target: RepositoryClient,
    digest: Digest,
    size: int,
    progress: BlobProgress,
    begun: list[str],
) -> None:
    """Run one upload, the one in `begun` or a new one."""
    uploads, repository = target.registry.uploads, target.repository
    url = begun.pop() if begun else uploads.begin(repository)
    hashed, written = hashlib.sha256(), 0
    chunk = b""
    for chunk in _chunks(source, digest, size):
        hashed.update(chunk)
        if written + len(chunk) >= size:
            break
        url = uploads.add(repository, url, chunk, written)
        written += len(chunk)
        progress(written)
    if f"sha256:{hashed.hexdigest()}" != str(digest):
        raise RegistryError(f"the registry returned other bytes for the blob {digest}", host=source.registry.host)
    uploads.finish(repository, url, chunk, digest)
    progress(size)


def _chunks(source: RepositoryClient, digest: Digest, size: int) -> Iterator[bytes]:
    """The blob in chunks of CHUNK bytes; an interrupted read is resumed at its offset."""
    held, read, tries = bytearray(), 0, 0
    while read < size:
        before = read
        try:
            for part in source.registry.uploads.read(source.repository, digest, start=read):
                held += part
                read += len(part)
                if read > size:
                    raise RegistryError(f"the blob {digest} is larger than its {size} bytes", host=source.registry.host)
                while len(held) >= CHUNK:
                    yield bytes(held[:CHUNK])
                    del held[:CHUNK]
        except Unreachable:
            tries = 1 if read > before else tries + 1
            if tries > len(PAUSES):
                raise
            source.registry.uploads.pause(PAUSES[tries - 1])
            continue
        if read < size:
            raise RegistryError(f"the blob {digest} is shorter than its {size} bytes", host=source.registry.host)
    yield bytes(held)
