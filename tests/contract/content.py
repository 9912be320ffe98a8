"""What the simulated registry holds, and its answers about it."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Reply:
    """One answer; `sent` cuts its body short and then the connection; with `drip` the body comes byte by byte until
    that is set."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    drip: threading.Event | None = None


@dataclass
class Query:
    """One request."""

    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Store:
    """What one repository holds; `uploads` are those under way."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Content:
    """All repositories. `page` tags a page at most; `native` has the referrers API; `mounts` from other ones."""

    page: int
    native: bool
    mounts: bool = True
    stores: dict[str, Store] = field(default_factory=dict)

    def answer(self, name: str, kind: str, rest: str, query: Query) -> Reply:
        """What is said about one thing in the repository `name`."""
        store = self.stores.setdefault(name, Store())
        if kind == "manifests":
            return self._put_manifest(store, rest, query) if query.method == "PUT" else _manifest(store, rest, query)
        if kind == "blobs":
            return self._blobs(store, name, rest, query)
        if kind == "referrers":
            return _referrers(store, rest) if self.native else Reply(404)
        return self._tags(store, name, query)

    def _put_manifest(self, store: Store, reference: str, query: Query) -> Reply:
        document = json.loads(query.body)
        needed = [d["digest"] for d in [*document.get("layers", []), document.get("config")] if d]
        children = [d["digest"] for d in document.get("manifests", [])]
        if not (store.blobs.keys() >= set(needed) and store.manifests.keys() >= set(children)):
            return error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        digest = digest_of(query.body)
        store.manifests[digest] = (query.headers["content-type"], query.body)
        if not reference.startswith("sha256:"):
            store.tags[reference] = digest
        headers = {"Docker-Content-Digest": digest}
        if self.native and "subject" in document:
            headers["OCI-Subject"] = document["subject"]["digest"]
        return Reply(201, headers=headers)

    def _blobs(self, store: Store, name: str, reference: str, query: Query) -> Reply:
        if query.method == "POST":
            return self._begin(store, name, query.parameters)
        if query.method == "PATCH":
            return _go_on(store, name, reference, query)
        if query.method == "PUT":
            content = store.uploads.pop(reference, b"") + query.body
            if digest_of(content) != query.parameters.get("digest"):
                return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            store.blobs[digest_of(content)] = content
            return Reply(201)
        if reference not in store.blobs:
            return error(404, "BLOB_UNKNOWN", "")
        return _part(store.blobs[reference], query.headers.get("range", ""))

    def _begin(self, store: Store, name: str, parameters: dict[str, str]) -> Reply:
        source = self.stores.get(parameters.get("from", ""), Store())
        digest = parameters.get("mount", "")
        if self.mounts and digest in source.blobs:
            store.blobs[digest] = source.blobs[digest]
            return Reply(201)
        upload = f"uploads/{len(store.uploads)}-{len(store.blobs)}"
        store.uploads[upload] = b""
        return Reply(202, headers={"Location": f"/v2/{name}/blobs/{upload}?state=x%2Fy"})

    def _tags(self, store: Store, name: str, query: Query) -> Reply:
        if not store.tags:
            return error(404, "NAME_UNKNOWN", "repository name not known to registry")
        after = [t for t in sorted(store.tags) if t > query.parameters.get("last", "")]
        page = after[: self.page]
        more = {}
        if len(after) > self.page:
            more["Link"] = f'</v2/{name}/tags/list?last={page[-1]}&n={self.page}>; rel="next"'
        return Reply(200, json.dumps({"tags": page}).encode(), more)


def _manifest(store: Store, reference: str, query: Query) -> Reply:
    digest = store.tags.get(reference, reference)
    if digest not in store.manifests:
        return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
    media_type, content = store.manifests[digest]
    if media_type not in query.headers.get("accept", ""):
        return error(404, "MANIFEST_UNKNOWN", f"not acceptable: {media_type}")
    return Reply(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})


def _go_on(store: Store, name: str, upload: str, query: Query) -> Reply:
    if upload not in store.uploads:
        return error(404, "BLOB_UPLOAD_UNKNOWN", "")
    store.uploads[upload] += query.body
    return Reply(202, headers={"Location": f"/v2/{name}/blobs/{upload}?state=x%2Fy"})


def _part(content: bytes, wanted: str) -> Reply:
    if not wanted:
        return Reply(200, content)
    start = int(wanted.removeprefix("bytes=").partition("-")[0])
    return Reply(206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})


def _referrers(store: Store, subject: str) -> Reply:
    found: list[dict[str, Any]] = []
    for digest, (media_type, content) in store.manifests.items():
        document = json.loads(content)
        if document.get("subject", {}).get("digest") == subject:
            entry = {"mediaType": media_type, "digest": digest, "size": len(content)}
            found.append(entry | {k: document[k] for k in ("artifactType", "annotations") if k in document})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return Reply(200, json.dumps(index).encode(), {"Content-Type": OCI_INDEX})


def digest_of(content: bytes) -> str:
    """The digest of these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def error(status: int, code: str, message: str) -> Reply:
    """An error as the specification wants it."""
    return Reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())
