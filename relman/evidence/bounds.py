"""Limits on the evidence of one image: anything larger is refused before it is fetched."""

from __future__ import annotations

import threading

from relman.evidence.rules import RuleName
from relman.model.errors import PolicyRefused
from relman.model.image import ManifestDigest, Repository

MAX_STATEMENTS = 200
MAX_BYTES = 32 << 20
"""The limit for all manifests and statements beside one image together."""
MAX_MANIFEST = 1 << 18
"""The limit, in bytes, for one manifest that contains a statement."""
_HINT = "Find out who put them there. Delete what nobody needs, or build the image again and release that."


class Budget:
    """Counts what is read of one image's evidence. Safe to share between threads."""

    def __init__(self, repository: Repository, subject: ManifestDigest) -> None:
        self._image = repository.at(subject)
        self._lock = threading.Lock()
        self._size = 0

    def count(self, number: int) -> None:
        """Raise PolicyRefused (rule evidence-is-bounded) if `number` statements are more than MAX_STATEMENTS."""
        if number > MAX_STATEMENTS:
            raise self._refusal(f"{number} statements", f"{MAX_STATEMENTS}")

    def spend(self, size: int) -> None:
        """Add `size` bytes. Raises PolicyRefused (rule evidence-is-bounded) when the sum exceeds MAX_BYTES."""
        with self._lock:
            self._size += size
            if self._size > MAX_BYTES:
                raise self._refusal(f"statements of {self._size >> 20} MiB or more", f"{MAX_BYTES >> 20} MiB")

    def _refusal(self, found: str, most: str) -> PolicyRefused:
        return PolicyRefused(
            f"{self._image} is refused: it has {found}, and at most {most} are read (rule {RuleName.BOUNDED})",
            hint=_HINT,
        )
