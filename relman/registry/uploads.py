"""Upload and download blobs.

Specification: OCI distribution-spec 1.1, Pushing Blobs
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs) and Pulling blobs
(#pulling-blobs).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from relman.model.errors import AccessDenied, RegistryError
from relman.model.image import Digest, Repository
from relman.registry.http.challenge import Scope
from relman.registry.http.messages import Answer, HttpRequest
from relman.registry.http.transport import Transport
from relman.registry.responses import expect

_OCTETS = {"Content-Type": "application/octet-stream"}


class Uploads:
    """Uploads to one registry, each step of which continues at the URL that the step before returned, and downloads in
    pieces.

    Only `mount` retries by itself: an interrupted upload must start over, so its caller retries all steps with
    `patiently`.
    """

    def __init__(self, http: Transport) -> None:
        self._http = http
        self.patiently = http.patiently
        self.pause = http.pause

    def upload(self, repository: Repository, digest: Digest, content: bytes) -> None:
        """Upload a small blob (POST then PUT)."""
        self.finish(repository, self.begin(repository), content, digest)

    def begin(self, repository: Repository) -> str:
        """Begin an upload; returns the URL of the next step."""
        answer = self._send(repository, "POST", self._start(repository), b"")
        expect(answer, 202, f"uploading to {repository.name}", self._http.host)
        return self._next(answer)

    def mount(self, repository: Repository, digest: Digest, source: Repository) -> str | None:
        """Mount a blob from another repository: None if that succeeded, else the URL at which to upload it.

        Not an error if the credentials do not reach both repositories in one request: then the blob is uploaded.
        """
        url = f"{self._start(repository)}?{urlencode({'mount': str(digest), 'from': source.name})}"
        try:
            answer = self.patiently(lambda: self._send(repository, "POST", url, b"", source=source.name))
        except AccessDenied:
            return self.patiently(lambda: self.begin(repository))
        if answer.status == 201:
            return None
        expect(answer, 202, f"mounting {digest} in {repository.name}", self._http.host)
        return self._next(answer)

    def add(self, repository: Repository, url: str, chunk: bytes, start: int) -> str:
        """Upload the chunk that begins at offset `start`; returns the URL of the next step."""
        headers = {**_OCTETS, "Content-Range": f"{start}-{start + len(chunk) - 1}"}
        answer = self._send(repository, "PATCH", url, chunk, headers)
        expect(answer, 202, f"uploading to {repository.name}", self._http.host)
        return self._next(answer)

    def finish(self, repository: Repository, url: str, content: bytes, digest: Digest) -> None:
        """Upload the last bytes and complete the blob. Raises RegistryError, also if the registry received other
        bytes."""
        url = f"{url}{'&' if '?' in url else '?'}{urlencode({'digest': str(digest)})}"
        answer = self._send(repository, "PUT", url, content, _OCTETS)
        expect(answer, 201, f"uploading {digest} to {repository.name}", self._http.host)

    def read(self, repository: Repository, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `start` on, unchecked. Raises Unreachable if the connection breaks."""
        path = f"/v2/{repository.name}/blobs/{quote(str(digest), safe=':')}"
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._http.opened(HttpRequest("GET", path, Scope(repository.name), headers)) as (status, parts):
            if status == 206 and start:
                yield from parts
            elif status == 200:
                yield from _without(parts, start)
            else:
                raise RegistryError(
                    f"reading the blob {digest} of {repository.name}: the registry answered HTTP {status}",
                    host=self._http.host,
                )

    def _start(self, repository: Repository) -> str:
        return f"/v2/{repository.name}/blobs/uploads/"

    def _send(
        self,
        repository: Repository,
        method: str,
        url: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        source: str = "",
    ) -> Answer:
        scope = Scope(repository.name, write=True, source=source)
        return self._http.send(HttpRequest(method, url, scope, headers or {}, body, once=True))

    def _next(self, answer: Answer) -> str:
        return self._http.absolute(answer.headers.get("Location", ""))


def _without(parts: Iterator[bytes], skipped: int) -> Iterator[bytes]:
    """The parts without the first `skipped` bytes, for a registry that ignores Range."""
    for part in parts:
        if skipped >= len(part):
            skipped -= len(part)
        else:
            yield part[skipped:]
            skipped = 0
