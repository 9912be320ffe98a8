"""Store envelopes beside images: first each under its own tag, then the views for other programs (compatibility.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from relman.evidence import compatibility, store
from relman.evidence.envelopes import Envelope
from relman.evidence.store import THREADS, Stored
from relman.model.image import Digest
from relman.registry.blobs import RepositoryClient
from relman.registry.manifest import Manifest

_Result = TypeVar("_Result")
_Sent = Mapping[bytes, Future[Digest]]


@dataclass(frozen=True)
class Addition:
    """What will be stored beside one image.

    `fresh` maps each envelope that is not stored yet to its manifest; `signed` are all DSSE envelopes, stored or fresh,
    for cosign's manifest; `stored` is what was there when the registry was read.
    """

    place: RepositoryClient
    stored: Stored
    fresh: Mapping[Envelope, Manifest]
    signed: Sequence[Envelope]

    @classmethod
    def to(cls, place: RepositoryClient, subject: Manifest, stored: Stored, envelopes: Sequence[Envelope]) -> Addition:
        """Build the addition, omitting envelopes that are stored already."""
        made = {e: store.evidence_manifest(subject, e, compatibility.notes_of(e)) for e in envelopes}
        known = {m.digest for m in stored.own}
        fresh = {e: m for e, m in made.items() if m.digest not in known}
        return cls(place, stored, fresh, store.signed_in([*stored.envelopes, *fresh]))

    @cached_property
    def truth_blobs(self) -> dict[bytes, bool]:
        """The blobs of the fresh manifests; True where the registry cannot have the blob yet."""
        return {store.EMPTY.content: False, **{e.content: True for e in self.fresh}} if self.fresh else {}

    @cached_property
    def view_blobs(self) -> dict[bytes, bool]:
        """The blobs that cosign's manifest will name and does not name yet; True where the blob is new."""
        if self._view is None:
            return {}
        there = {d["digest"] for d in store.descriptors(self.stored.attestations, "layers")}
        new = {*store.signed_in(self.fresh)}
        missing = {e.content: e in new for e in self.signed if store.described(e)["digest"] not in there}
        return {compatibility.config_of(self._view.list_of("layers")): True, **missing}

    def put_truth(self, sent: _Sent) -> bool:
        """Put each fresh manifest under its own tag, in order, so that a summary never precedes its inputs.

        Returns whether the registry itself lists referrers.
        """
        native = self.stored.native
        for envelope, manifest in self.fresh.items():
            for content in (store.EMPTY.content, envelope.content):
                sent[content].result()
            tag = store.own_tag(self.stored.subject, envelope)
            native |= self.place.registry.put_referrer(self.place.repository, tag, manifest)
        return native

    def put_view(self, sent: _Sent) -> None:
        """Put cosign's manifest, computed from what was stored when the registry was read."""
        for content in self.view_blobs:
            sent[content].result()
        if self._view:
            self.place.registry.put_manifest(self.place.repository, self._view_tag, self._view)

    def keep_view(self) -> None:
        """Read cosign's manifest again, if it was put, because another writer may have overwritten it."""
        if self._view:
            registry, repository = self.place.registry, self.place.repository
            there = registry.find(repository, self._view_tag)
            compatibility.keep_attestations(registry, repository, self.stored.subject, there, self._layers)

    def keep_index(self) -> None:
        """List every manifest in the index of the referrers tag schema."""
        manifests = [*self.stored.own, *self.fresh.values()]
        compatibility.keep_index(
            self.place.registry, self.place.repository, self.stored.subject, self.stored.index, manifests
        )

    @cached_property
    def _view(self) -> Manifest | None:
        return compatibility.attestations(self.stored.attestations, self._layers)

    @cached_property
    def _layers(self) -> list[dict[str, Any]]:
        return [compatibility.layer_of(e) for e in self.signed]

    @property
    def _view_tag(self) -> str:
        return store.attestation_tag(self.stored.subject)


def write(
    place: RepositoryClient, additions: Sequence[Addition], last: Callable[[], _Result]
) -> tuple[list[Callable[[], None]], _Result]:
    """Store every addition's manifests and cosign manifests; run `last` after all blobs and cosign manifests are
    written.

    `last` runs concurrently with the end of the other writes. Returns the work that may run concurrently with other
    work (updating the indexes, and reading cosign's manifests again) and the result of `last`. Raises what Registry and
    `last` raise.
    """
    blobs = {content: new for a in additions for content, new in (a.truth_blobs | a.view_blobs).items()}
    with ThreadPoolExecutor(THREADS) as pool:  # no deadlock: a task waits only for tasks submitted before it
        put = place.registry.put_blob
        sent = {content: pool.submit(put, place.repository, content, new=new) for content, new in blobs.items()}
        truths = [pool.submit(a.put_truth, sent) for a in additions]
        viewed = [pool.submit(a.put_view, sent) for a in additions]
        before: list[Future[Any]] = [*sent.values(), *viewed]
        end = pool.submit(lambda: ([one.result() for one in before], last()))
        native = [truth.result() for truth in truths]
        _, result = end.result()
    indexes = [a.keep_index for a, listed in zip(additions, native, strict=True) if not listed]
    return [*indexes, *(a.keep_view for a in additions)], result
