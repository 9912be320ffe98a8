"""Evidence in the registry beside the image, so that any machine can verify it.

Each statement is an artifact manifest with a `subject` (OCI image-spec 1.1,
https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage) under a tag of its
own. That tag is authoritative, because registries have no compare-and-swap on a shared one. compatibility.py keeps the
views that other programs read, attach.py writes both.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from relman.evidence import dsse
from relman.evidence.bounds import MAX_MANIFEST, Budget
from relman.evidence.dsse import BUNDLE, DSSE, MAX_ENVELOPE
from relman.evidence.envelopes import Envelope, Opened, Seal
from relman.model.errors import RegistryError, UnknownTag
from relman.model.image import Digest, ManifestDigest, Repository
from relman.model.release_tag import EVIDENCE_TAGS
from relman.registry.client import Registry
from relman.registry.manifest import OCI_EMPTY, OCI_MANIFEST, Manifest, digest_in

STATEMENTS = (BUNDLE, DSSE, dsse.IN_TOTO)
"""The media types that may contain a statement."""
EMPTY = Envelope(OCI_EMPTY, b"{}")
MAX_INLINE = 1 << 15
THREADS = 6
_OWN_TAG = re.compile(r"sha256-[0-9a-f]{64}\.[0-9a-f]{32}")


@dataclass(frozen=True)
class Stored:
    """Everything stored beside one image.

    `tagged` are the manifests under their own tags, `others` those that only a view lists; `index` and `attestations`
    are the two views; `native` is whether the registry has the referrers API; `missing` are the tags and digests of
    statements that are listed and cannot be fetched.
    """

    subject: ManifestDigest
    tagged: Mapping[str, Manifest] = field(default_factory=dict)
    others: tuple[Manifest, ...] = ()
    index: Manifest | None = None
    attestations: Manifest | None = None
    native: bool = False
    envelopes: tuple[Envelope, ...] = field(default=(), repr=False)
    missing: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[Manifest, ...]:
        """The manifests under their own tags."""
        return tuple(self.tagged.values())

    def opened(self, seal: Seal) -> list[Opened]:
        """Unwrap the statements in these envelopes; envelopes of another kind are omitted."""
        return [opened for e in self.envelopes if (opened := seal.unwrap(e)) is not None]


def look(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    tags: Sequence[str] | None = None,
    *,
    eager: bool = False,
) -> Stored:
    """Fetch everything stored beside `subject`, in no particular order.

    No annotation or descriptor is trusted: the caller reads each statement. `tags`, if known, saves listing them;
    `eager` requests the tags and the referrers API concurrently, which is faster where there is no index. Raises
    PolicyRefused before fetching more than bounds.py allows, and what Registry raises.
    """
    bounds = Budget(repository, subject)
    view, att = index_tag(subject), attestation_tag(subject)
    asked = partial(registry.referrers, repository, subject)
    given = tags

    def listed_tags() -> Sequence[str]:
        return _tags(registry, repository, view) if given is None else given

    tags, api = run_parallel([listed_tags, asked]) if eager else (listed_tags(), None)
    index = registry.find(repository, view) if view in tags else None
    listed = index or (api if eager else asked())
    own = [t for t in tags if t.startswith(view) and _OWN_TAG.fullmatch(t)]
    others = {ManifestDigest(digest_in(d).value): d for d in descriptors(listed) if _may_hold_statements(d)}
    bounds.count(max(len(own), len(others)))

    def fetched(reference: str | ManifestDigest) -> Manifest | None:
        bounds.spend(0)
        found = registry.find(repository, reference, limit=MAX_MANIFEST)
        bounds.spend(len(found.content) if found else 0)
        return found

    wanted = [partial(fetched, tag) for tag in own]
    if att in tags:
        wanted.append(partial(registry.find, repository, att))
    found = dict(zip([*own, att], run_parallel(wanted), strict=False))
    attestations = found.pop(att, None)
    tagged = {tag: m for tag, m in found.items() if m}
    manifests = {m.digest for m in tagged.values()}
    further = [d for d in others if d not in manifests]
    bounds.count(len(own) + len(further))
    rest = dict(zip(further, run_parallel([partial(fetched, d) for d in further]), strict=True))
    gone = [str(d) for d, m in rest.items() if m is None and others[d].get("artifactType") in STATEMENTS]
    stored = Stored(
        subject,
        tagged,
        tuple(m for m in rest.values() if m),
        index,
        attestations,
        bool(listed and not index),
        missing=(*(tag for tag in own if tag not in tagged), *gone),
    )
    return _with_envelopes(registry, repository, stored, bounds)


def evidence_manifest(subject: Manifest, envelope: Envelope, notes: dict[str, str]) -> Manifest:
    """The manifest that contains one envelope about `subject`; a small envelope is inlined in the descriptor's `data`
    (OCI image-spec 1.1, descriptor.md#embedded-content), which saves a request."""
    layer = described(envelope)
    if len(envelope.content) <= MAX_INLINE:
        layer["data"] = base64.b64encode(envelope.content).decode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": envelope.media_type,
        "config": described(EMPTY),
        "layers": [layer],
        "subject": subject.descriptor(),
    }
    return Manifest.of(document | ({"annotations": notes} if notes else {}))


def described(envelope: Envelope) -> dict[str, Any]:
    """The OCI descriptor of an envelope."""
    digest = Digest.of(envelope.content)
    return {"mediaType": envelope.media_type, "digest": str(digest), "size": len(envelope.content)}


def own_tag(subject: ManifestDigest, envelope: Envelope) -> str:
    """The tag of one envelope about `subject`, derived from its content."""
    return f"{index_tag(subject)}.{Digest.of(envelope.content).hex[:32]}"


def index_tag(subject: ManifestDigest) -> str:
    """The tag of the index of referrers (OCI distribution-spec 1.1, Referrers Tag Schema)."""
    return f"{EVIDENCE_TAGS}{subject.hex}"


def attestation_tag(subject: ManifestDigest) -> str:
    """The tag under which cosign looks for attestations."""
    return f"{index_tag(subject)}.att"


def descriptors(manifest: Manifest | None, key: str = "manifests") -> list[dict[str, Any]]:
    """The descriptors with a valid digest in an untrusted manifest; empty if it cannot be read."""
    try:
        listed = manifest.list_of(key) if manifest else []
    except RegistryError:
        return []
    return [d for d in listed if _has_digest(d)]


def run_parallel(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all functions in parallel and return their results in order; raises the first one's exception."""
    if len(work) < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(min(THREADS, len(work))) as pool:
        return list(pool.map(lambda one: one(), work))


def _tags(registry: Registry, repository: Repository, prefix: str) -> list[str]:
    """The tags with this prefix; none in a repository that does not exist yet."""
    try:
        return registry.tags(repository, prefix)
    except UnknownTag:
        return []


def _with_envelopes(registry: Registry, repository: Repository, stored: Stored, bounds: Budget) -> Stored:
    known: dict[Digest, Envelope] = {}
    layers = [layer for m in (*stored.own, *stored.others) for layer in _readable(m)]
    _afford(bounds, layers, 0)
    for content in run_parallel([partial(_content, registry, repository, layer) for layer in layers]):
        known[Digest.of(content.content)] = content
    inner = {Digest.of(e.signed.content) for e in known.values() if e.signed}
    rest = [d for d in _readable(stored.attestations) if Digest(digest_in(d).value) not in inner]
    _afford(bounds, rest, len(layers))
    further = run_parallel([partial(_content, registry, repository, layer) for layer in rest])
    return replace(stored, envelopes=(*known.values(), *further))


def _afford(bounds: Budget, layers: Sequence[dict[str, Any]], others: int) -> None:
    bounds.count(len(layers) + others)
    bounds.spend(sum(layer["size"] for layer in layers))


def _readable(manifest: Manifest | None) -> Iterator[dict[str, Any]]:
    """The layers that may be envelopes. A larger one (an SBOM, for example) is skipped."""
    for layer in descriptors(manifest, "layers"):
        size, kind = layer.get("size"), layer.get("mediaType")
        if type(size) is int and 0 <= size <= MAX_ENVELOPE and kind in STATEMENTS:
            yield layer


def _may_hold_statements(descriptor: dict[str, Any]) -> bool:
    """Whether a listed manifest is fetched: a large one is skipped unless its artifact type is a statement."""
    size = descriptor.get("size")
    return descriptor.get("artifactType") in STATEMENTS or not (type(size) is int and size > MAX_MANIFEST)


def _content(registry: Registry, repository: Repository, layer: dict[str, Any]) -> Envelope:
    """The content of a layer, from the descriptor's `data` where it is inlined and matches the digest."""
    digest, kind = digest_in(layer), str(layer["mediaType"])
    inline = layer.get("data")
    if isinstance(inline, str) and len(inline) <= MAX_INLINE * 2:
        try:
            content = base64.b64decode(inline, validate=True)
        except ValueError:
            content = b""
        if Digest.of(content) == Digest(digest.value):
            return Envelope(kind, content)
    return Envelope(kind, registry.blob(repository, digest, limit=layer["size"]))


def _has_digest(descriptor: dict[str, Any]) -> bool:
    try:
        digest_in(descriptor)
    except RegistryError:
        return False
    return True


def signed_in(envelopes: Iterable[Envelope]) -> list[Envelope]:
    """The DSSE envelopes of the signed statements, in the form that cosign stores."""
    return [Envelope(DSSE, e.signed.content) for e in envelopes if e.signed]
