"""Evidence in the registry beside the image (OCI image-spec 1.1, referrers), so that any machine can check it.

Each statement has a tag of its own, which is the truth: registries have no compare-and-swap. For other programs there
are views of it, which the next writer makes whole (views.py). addition.py writes both.
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
from relman.evidence.bounds import MAX_MANIFEST, Bounds
from relman.evidence.dsse import BUNDLE, DSSE, MAX_ENVELOPE
from relman.evidence.envelopes import UNSIGNED, Envelope, Opened, Seal
from relman.model.errors import RegistryError, UnknownTag
from relman.model.image import Digest, ManifestDigest, Repository
from relman.registry.client import Registry
from relman.registry.manifest import OCI_EMPTY, OCI_MANIFEST, Manifest, digest_in

EVIDENCE_TAGS = "sha256-"
STATEMENTS = (BUNDLE, DSSE, dsse.IN_TOTO)
"""The media types of what may hold a statement."""
EMPTY = Envelope(OCI_EMPTY, b"{}")
MAX_INLINE = 1 << 15
THREADS = 6
_OWN_TAG = re.compile(r"sha256-[0-9a-f]{64}\.[0-9a-f]{32}")


@dataclass(frozen=True)
class Stored:
    """What is stored beside one image: the manifests under tags of their own (`tagged`), and those that only a view
    lists; the two views as they are; `native` where the registry itself lists referrers; all `envelopes`; and what is
    `missing`: tags and digests of statements that are listed, and not there."""

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
        """The manifests under tags of their own."""
        return tuple(self.tagged.values())

    def opened(self, seal: Seal) -> list[Opened]:
        """The statements in these envelopes."""
        return [opened for e in self.envelopes if (opened := seal.unwrap(e)) is not None]


def look(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    tags: Sequence[str] | None = None,
    *,
    eager: bool = False,
) -> Stored:
    """Everything stored beside `subject`, in no order that means anything.

    What it is about is for others to read: no annotation or descriptor is believed. `tags` spares the listing;
    `eager` asks for the tags and by the referrers API at once, where there probably is no index. Raises PolicyRefused
    where it is more than bounds.py lets be read, before that is fetched, and what Registry raises.
    """
    bounds = Bounds(repository, subject)
    view, att = index_tag(subject), attestation_tag(subject)
    asked = partial(registry.referrers, repository, subject)
    given = tags

    def listed_tags() -> Sequence[str]:
        return _tags(registry, repository, view) if given is None else given

    tags, api = at_once([listed_tags, asked]) if eager else (listed_tags(), None)
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
    found = dict(zip([*own, att], at_once(wanted), strict=False))
    attestations = found.pop(att, None)
    tagged = {tag: m for tag, m in found.items() if m}
    manifests = {m.digest for m in tagged.values()}
    further = [d for d in others if d not in manifests]
    bounds.count(len(own) + len(further))
    rest = dict(zip(further, at_once([partial(fetched, d) for d in further]), strict=True))
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


def find(
    registry: Registry,
    repository: Repository,
    subject: ManifestDigest,
    *,
    seal: Seal = UNSIGNED,
    tags: Sequence[str] | None = None,
) -> list[Opened]:
    """All statements stored beside `subject`, as `look` finds them."""
    return look(registry, repository, subject, tags).opened(seal)


def evidence_manifest(subject: Manifest, envelope: Envelope, notes: dict[str, str]) -> Manifest:
    """The manifest that holds one envelope about `subject`; a small one is in it as a whole, to spare a request."""
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
    """The tag under which one envelope about `subject` is kept: it follows from the content."""
    return f"{index_tag(subject)}.{Digest.of(envelope.content).hex[:32]}"


def index_tag(subject: ManifestDigest) -> str:
    """The tag of the referrers' index (distribution-spec, referrers tag schema)."""
    return f"{EVIDENCE_TAGS}{subject.hex}"


def attestation_tag(subject: ManifestDigest) -> str:
    """The tag under which cosign looks for attestations."""
    return f"{index_tag(subject)}.att"


def descriptors(manifest: Manifest | None, key: str = "manifests") -> list[dict[str, Any]]:
    """The descriptors with a digest in what anybody may have put there: nothing if it cannot be read."""
    try:
        listed = manifest.list_of(key) if manifest else []
    except RegistryError:
        return []
    return [d for d in listed if _has_digest(d)]


def at_once(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all side by side, and give their results in order; raises what the first of them raises."""
    if len(work) < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(min(THREADS, len(work))) as pool:
        return list(pool.map(lambda one: one(), work))


def _tags(registry: Registry, repository: Repository, prefix: str) -> list[str]:
    """Those with the prefix; none in a repository that has no tag yet."""
    try:
        return registry.tags(repository, prefix)
    except UnknownTag:
        return []


def _with_envelopes(registry: Registry, repository: Repository, stored: Stored, bounds: Bounds) -> Stored:
    known: dict[Digest, Envelope] = {}
    layers = [layer for m in (*stored.own, *stored.others) for layer in _readable(m)]
    _afford(bounds, layers, 0)
    for content in at_once([partial(_content, registry, repository, layer) for layer in layers]):
        known[Digest.of(content.content)] = content
    inner = {Digest.of(e.signed.content) for e in known.values() if e.signed}
    rest = [d for d in _readable(stored.attestations) if Digest(digest_in(d).value) not in inner]
    _afford(bounds, rest, len(layers))
    further = at_once([partial(_content, registry, repository, layer) for layer in rest])
    return replace(stored, envelopes=(*known.values(), *further))


def _afford(bounds: Bounds, layers: Sequence[dict[str, Any]], others: int) -> None:
    bounds.count(len(layers) + others)
    bounds.spend(sum(layer["size"] for layer in layers))


def _readable(manifest: Manifest | None) -> Iterator[dict[str, Any]]:
    """The layers that may be envelopes. A larger one (a list of all packages, say) is left out."""
    for layer in descriptors(manifest, "layers"):
        size, kind = layer.get("size"), layer.get("mediaType")
        if type(size) is int and 0 <= size <= MAX_ENVELOPE and kind in STATEMENTS:
            yield layer


def _may_hold_statements(descriptor: dict[str, Any]) -> bool:
    """Whether what an index lists is looked at: something large that is not called a statement is left out too."""
    size = descriptor.get("size")
    return descriptor.get("artifactType") in STATEMENTS or not (type(size) is int and size > MAX_MANIFEST)


def _content(registry: Registry, repository: Repository, layer: dict[str, Any]) -> Envelope:
    """The content of a layer, from the descriptor itself where it is in there."""
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
    """The DSSE envelopes of what is signed, as cosign keeps them."""
    return [Envelope(DSSE, e.signed.content) for e in envelopes if e.signed]
