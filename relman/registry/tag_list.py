"""Lists of tags in pages, bounded in number, size and time.

Specification: OCI distribution-spec 1.1, Listing Tags
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-tags).
"""

from __future__ import annotations

import time

from relman.model.errors import RegistryError, Unreachable
from relman.model.image import Repository
from relman.registry.http.messages import Answer
from relman.registry.strictjson import load_object

MAX_TAGS = 32 << 20
"""The limit, in bytes, for all pages together."""
MAX_PAGES = 1000
PATIENCE = 10
"""All pages together may take this many times the timeout of one response."""


class TagPages:
    """Collects the tags of all pages; `timeout`, in seconds, is that of one response."""

    def __init__(self, repository: Repository, host: str, timeout: float) -> None:
        self.tags: set[str] = set()
        self._what = f"the list of tags of {repository.name}"
        self._host = host
        self._pages = self._size = 0
        self._seconds = PATIENCE * timeout
        self._end = time.monotonic() + self._seconds

    def add(self, answer: Answer) -> list[str]:
        """Add a page and return its tags.

        Raises RegistryError if it is malformed, adds nothing new, or exceeds a limit; Unreachable if all pages take too
        long.
        """
        page = self._read(answer)
        fresh = {*page} - self.tags
        self.tags |= fresh
        self._pages, self._size = self._pages + 1, self._size + len(answer.body)
        if self._size > MAX_TAGS:
            raise RegistryError(f"{self._what} is larger than {MAX_TAGS} bytes", host=self._host)
        if self._pages > MAX_PAGES or (self._pages > 1 and not fresh):
            raise self.endless()
        if time.monotonic() > self._end:
            raise Unreachable(f"{self._what} is not complete after {self._seconds:g} s", host=self._host)
        return page

    def endless(self) -> RegistryError:
        """The error for a list whose next page is on another host."""
        return RegistryError(
            f"{self._what} does not continue on the registry after {self._pages} pages", host=self._host
        )

    def _read(self, answer: Answer) -> list[str]:
        try:
            tags = load_object(answer.body, limit=MAX_TAGS).get("tags") or []
        except ValueError as error:
            raise RegistryError(f"{self._what} cannot be read: {error}", host=self._host) from error
        if not isinstance(tags, list) or not all(isinstance(t, str) for t in tags):
            raise RegistryError(f"{self._what} is not a list of names", host=self._host)
        return tags
