"""Blobs of any size, from one repository to another: mounted where they can be, else streamed, never whole in memory.

By the distribution specification 1.1: cross-repository mounts, chunked uploads, and reading on after a break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relman.model.errors import RegistryError, Unreachable
from relman.model.image import Digest, Repository
from relman.registry.client import Registry
from relman.registry.transport import PAUSES

CHUNK = 8 << 20
"""Bytes in one request. (Some registries want at least 5 MiB in all but the last.)"""

Told = Callable[[int], None]
"""Is told how many bytes of a blob have been written."""


@dataclass(frozen=True)
class Place:
    """A repository, and a client of its registry."""

    registry: Registry
    repository: Repository


def copy_blob(source: Place, target: Place, digest: Digest, size: int, told: Told = lambda _: None) -> bool:
    """Copy one blob unless it is there; gives whether there was anything to do.

    What comes from the source is checked against the digest before it counts at the target. Raises RegistryError for
    other bytes, and what Registry raises.
    """
    if target.registry.has(target.repository, digest):
        return False
    location = None
    if source.registry.host == target.registry.host:
        location = target.registry.uploads.mount(target.repository, digest, source.repository)
        if location is None:
            told(size)
            return True
    begun = [location] if location else []
    target.registry.uploads.patiently(lambda: _stream(source, target, digest, size, told, begun))
    return True


def _stream(source: Place, target: Place, digest: Digest, size: int, told: Told, begun: list[str]) -> None:
    """One upload, that in `begun` or a new one; what breaks at the source is read on."""
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
        told(written)
    if f"sha256:{hashed.hexdigest()}" != str(digest):
        raise RegistryError(f"the registry gave other bytes for the blob {digest}", host=source.registry.host)
    uploads.finish(repository, url, chunk, digest)
    told(size)


def _chunks(source: Place, digest: Digest, size: int) -> Iterator[bytes]:
    """The blob in pieces of CHUNK bytes; after a break it is read on from there."""
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
