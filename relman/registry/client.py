"""A client of one registry: manifests, blobs and tags.

Specification: OCI distribution-spec 1.1, Endpoints
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#endpoints).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self
from urllib.parse import quote, urlencode

from relman.model.errors import RegistryError, RelmanError, UnknownTag, UsageError
from relman.model.image import Digest, ManifestDigest, Repository
from relman.registry.auth import Credentials
from relman.registry.http.challenge import Scope
from relman.registry.http.messages import Answer, HttpRequest
from relman.registry.http.network import DIRECT, RegistryAccess
from relman.registry.http.transport import Transport
from relman.registry.manifest import MANIFEST_TYPES, MAX_MANIFEST, OCI_INDEX, Manifest
from relman.registry.responses import expect
from relman.registry.tag_list import MAX_TAGS, TagPages
from relman.registry.uploads import Uploads

MAX_BLOB = 8 << 20
PAGE = 1000


class Registry:
    """A client of the registry `host[:port]`. Safe to share between a few threads; close it, or use it in a `with`.

    `ca` is a file of CA certificates (None: the system's; UsageError if it is unusable). `timeout` in seconds bounds
    each response as a whole. `network` names proxies, and registries without TLS. `writes` requests push access from
    the first token on, which saves a second one. Every method may raise Unreachable, AccessDenied and RegistryError.
    Everything read is checked against its digest; a mismatch is a RegistryError.
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: Credentials | None = None,
        ca: str | None = None,
        timeout: float = 30.0,
        network: RegistryAccess = DIRECT,
        writes: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self._writes = writes
        self._http = Transport(host, credentials=credentials, ca=ca, timeout=timeout, network=network, sleep=sleep)
        self.uploads = Uploads(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def plain_fault(self) -> RelmanError | None:
        """The error for a registry that speaks plain HTTP without being allowed to, else None. Sends no credentials."""
        return self._http.plain_fault()

    def resolve(self, repository: Repository, reference: str | ManifestDigest) -> Manifest:
        """Return the manifest under a tag or digest, byte for byte. Raises UnknownTag if there is none."""
        answer = self._manifest(repository, reference, MAX_MANIFEST)
        if answer.status == 404:
            raise UnknownTag(
                f"{_name(repository, reference)} does not exist",
                host=self.host,
                hint="List them: relman releases",
                details=answer.reasons,
            )
        return self._checked(repository, reference, answer)

    def find(
        self, repository: Repository, reference: str | ManifestDigest, *, limit: int = MAX_MANIFEST
    ) -> Manifest | None:
        """Like `resolve`, but return None if there is none. Raises RegistryError for more than `limit` bytes."""
        answer = self._manifest(repository, reference, limit)
        return None if answer.status == 404 else self._checked(repository, reference, answer)

    def _manifest(self, repository: Repository, reference: str | ManifestDigest, limit: int) -> Answer:
        # Accept every type: a registry converts the manifest for a client that accepts fewer, which changes its digest.
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        path = self._path(repository, "manifests", str(reference))
        return self._send("GET", path, repository, headers=headers, limit=limit)

    def _checked(self, repository: Repository, reference: str | ManifestDigest, answer: Answer) -> Manifest:
        self._expect(answer, 200, f"reading {_name(repository, reference)}")
        manifest = Manifest(answer.body, answer.headers.get("Content-Type", "").split(";")[0].strip())
        self._check_digest(answer, manifest.digest, _name(repository, reference))
        if isinstance(reference, ManifestDigest) and manifest.digest != reference:
            raise RegistryError(f"asked for {reference}, the registry returned {manifest.digest}", host=self.host)
        return manifest

    def put_manifest(
        self, repository: Repository, reference: str | ManifestDigest, manifest: Manifest
    ) -> ManifestDigest:
        """Put a manifest under a tag or its digest. Raises RegistryError if the registry stored other bytes."""
        self._put_manifest(repository, reference, manifest)
        return manifest.digest

    def put_referrer(self, repository: Repository, reference: str | ManifestDigest, manifest: Manifest) -> bool:
        """Like `put_manifest`, for a manifest with a `subject`; returns whether the registry lists referrers itself.

        It answers with OCI-Subject if it does (distribution-spec 1.1, Pushing Manifests with Subject); otherwise the
        client has to update the index of the referrers tag schema.
        """
        return "OCI-Subject" in self._put_manifest(repository, reference, manifest).headers

    def blob(self, repository: Repository, digest: Digest, *, limit: int = MAX_BLOB) -> bytes:
        """Return a blob. Raises RegistryError for more than `limit` bytes."""
        answer = self._send("GET", self._path(repository, "blobs", str(digest)), repository, limit=limit)
        self._expect(answer, 200, f"reading the blob {digest} of {repository.name}")
        if Digest.of(answer.body) != Digest(digest.value):
            raise RegistryError(f"the registry returned other bytes for the blob {digest}", host=self.host)
        return answer.body

    def has(self, repository: Repository, digest: Digest) -> bool:
        """Whether the registry has this blob or, for a ManifestDigest, this manifest."""
        kind = "manifests" if isinstance(digest, ManifestDigest) else "blobs"
        headers = {"Accept": ", ".join(MANIFEST_TYPES)} if kind == "manifests" else {}
        answer = self._send("HEAD", self._path(repository, kind, str(digest)), repository, headers=headers)
        if answer.status != 404:
            self._expect(answer, 200, f"looking for {digest} in {repository.name}")
        return answer.status == 200

    def put_blob(self, repository: Repository, content: bytes, *, new: bool = False) -> Digest:
        """Upload a small blob unless the registry has it; with `new`, without checking that first."""
        self._path(repository, "blobs", "uploads/")
        digest = Digest.of(content)
        if new or not self.has(repository, digest):
            # An interrupted upload must start over, so both of its requests are one attempt.
            self._http.patiently(lambda: self.uploads.upload(repository, digest, content))
        return digest

    def tags(self, repository: Repository, prefix: str = "") -> list[str]:
        """Return all tags that begin with `prefix`, sorted. Raises UnknownTag if the repository does not exist.

        Where the registry lists in pages, those before the prefix, and most of those after it, are not requested.
        """
        # `last` is a name just before the prefix in sort order; a registry that does not know it lists all tags.
        after = {"last": prefix[:-1]} if len(prefix) > 1 else {}
        url: str | None = f"{self._path(repository, 'tags', 'list')}?{urlencode({'n': PAGE, **after})}"
        pages = TagPages(repository, self.host, self._http.timeout)
        while url is not None:
            answer = self._send("GET", url, repository, limit=MAX_TAGS)
            if answer.status == 404:
                raise UnknownTag(f"there is no repository {repository.name}", host=self.host, details=answer.reasons)
            self._expect(answer, 200, f"listing the tags of {repository.name}")
            page = pages.add(answer)
            passed = prefix and page == sorted(page) and page and not page[-1].startswith(prefix) and page[-1] > prefix
            url = None if passed else self._next_page(url, answer)
            if url and not self._http.is_own(url):
                raise pages.endless()
        return sorted(t for t in pages.tags if t.startswith(prefix))

    def referrers(self, repository: Repository, digest: ManifestDigest) -> Manifest | None:
        """The index of the manifests with this subject; None if the registry has no referrers API."""
        path = self._path(repository, "referrers", str(digest))
        answer = self._send("GET", path, repository, headers={"Accept": OCI_INDEX}, limit=MAX_MANIFEST)
        if answer.status != 200:
            return None  # 404 by the specification; some registries answer other statuses
        return Manifest(answer.body, answer.headers.get("Content-Type", "").split(";")[0].strip())

    def _put_manifest(self, repository: Repository, reference: str | ManifestDigest, manifest: Manifest) -> Answer:
        path = self._path(repository, "manifests", str(reference))
        headers = {"Content-Type": manifest.media_type}
        answer = self._send("PUT", path, repository, headers=headers, body=manifest.content)
        what = _name(repository, reference)
        self._expect(answer, 201, f"writing {what}")
        self._check_digest(answer, manifest.digest, what)
        return answer

    def _send(
        self,
        method: str,
        url: str,
        repository: Repository,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        limit: int = 1 << 20,
        once: bool = False,
    ) -> Answer:
        scope = Scope(repository.name, write=self._writes or method == "PUT")
        return self._http.send(HttpRequest(method, url, scope, headers or {}, body, limit, once))

    def _path(self, repository: Repository, kind: str, name: str) -> str:
        if repository.registry != self.host:
            raise UsageError(f"{repository} is not in the registry {self.host}")
        return f"/v2/{repository.name}/{kind}/{quote(name, safe=':/')}"

    def _expect(self, answer: Answer, status: int, doing: str) -> None:
        expect(answer, status, doing, self.host)

    def _check_digest(self, answer: Answer, digest: ManifestDigest, what: str) -> None:
        said = answer.headers.get("Docker-Content-Digest", str(digest))
        if said != str(digest):
            raise RegistryError(
                f"the registry says that {what} is {said[:80]}, but its bytes are {digest}", host=self.host
            )

    def _next_page(self, url: str, answer: Answer) -> str | None:
        link = answer.headers.get("Link", "")
        target, _, parameters = link.partition(">")
        if 'rel="next"' not in parameters and "rel=next" not in parameters:
            return None
        return self._http.joined(self._http.absolute(url), target.strip().removeprefix("<"))


def _name(repository: Repository, reference: str | ManifestDigest) -> str:
    mark = "@" if isinstance(reference, ManifestDigest) else ":"
    return f"{repository.name}{mark}{reference}"
