"""Put envelopes beside images: the truth, each statement under a tag of its own, and then the views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from relman.evidence import compatibility, store
from relman.evidence.envelopes import Envelope
from relman.evidence.store import THREADS, Stored, at_once
from relman.model.image import Digest, Repository
from relman.registry.blobs import Place
from relman.registry.client import Registry
from relman.registry.manifest import Manifest

_Result = TypeVar("_Result")
_Sent = Mapping[bytes, Future[Digest]]


@dataclass(frozen=True)
class Addition:
    """What is put beside one image: the `fresh` envelopes, each with its manifest, and for cosign all that are
    `signed`, also those that are there. `stored` is what was seen there before."""

    place: Place
    stored: Stored
    fresh: Mapping[Envelope, Manifest]
    signed: Sequence[Envelope]

    @classmethod
    def to(cls, place: Place, subject: Manifest, stored: Stored, envelopes: Sequence[Envelope]) -> Addition:
        """Of these envelopes what is not there already."""
        made = {e: store.evidence_manifest(subject, e, compatibility.notes_of(e)) for e in envelopes}
        known = {m.digest for m in stored.own}
        fresh = {e: m for e, m in made.items() if m.digest not in known}
        return cls(place, stored, fresh, store.signed_in([*stored.envelopes, *fresh]))

    @cached_property
    def truth_blobs(self) -> dict[bytes, bool]:
        """What the fresh manifests name, and whether it is certainly new."""
        return {store.EMPTY.content: False, **{e.content: True for e in self.fresh}} if self.fresh else {}

    @cached_property
    def view_blobs(self) -> dict[bytes, bool]:
        """What cosign's view will name, and does not yet."""
        if self._view is None:
            return {}
        there = {d["digest"] for d in store.descriptors(self.stored.attestations, "layers")}
        new = {*store.signed_in(self.fresh)}
        missing = {e.content: e in new for e in self.signed if store.described(e)["digest"] not in there}
        return {compatibility.config_of(self._view.list_of("layers")): True, **missing}

    def put_truth(self, sent: _Sent) -> bool:
        """Each under its own tag, one after the other: no summary is there before what it sums up. Gives whether the
        registry itself lists them."""
        native = self.stored.native
        for envelope, manifest in self.fresh.items():
            for content in (store.EMPTY.content, envelope.content):
                sent[content].result()
            tag = store.own_tag(self.stored.subject, envelope)
            native |= self.place.registry.put_referrer(self.place.repository, tag, manifest)
        return native

    def put_view(self, sent: _Sent) -> None:
        """Cosign's view, as it ought to be after what was seen."""
        for content in self.view_blobs:
            sent[content].result()
        if self._view:
            self.place.registry.put_manifest(self.place.repository, self._view_tag, self._view)

    def keep_view(self) -> None:
        """Read cosign's view again, if it was put: another writer may have overwritten it."""
        if self._view:
            registry, repository = self.place.registry, self.place.repository
            there = registry.find(repository, self._view_tag)
            compatibility.keep_attestations(registry, repository, self.stored.subject, there, self._layers)

    def keep_index(self) -> None:
        """List all of it in the index."""
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


def attach(registry: Registry, repository: Repository, subject: Manifest, envelopes: Sequence[Envelope]) -> None:
    """Store envelopes beside `subject`, in this order; what is there already is left. Raises what Registry raises."""
    stored = store.look(registry, repository, subject.digest)
    addition = Addition.to(Place(registry, repository), subject, stored, envelopes)
    left, _ = write(addition.place, [addition], lambda: None)
    at_once(left)


def write(
    place: Place, additions: Sequence[Addition], last: Callable[[], _Result]
) -> tuple[list[Callable[[], None]], _Result]:
    """Write all the truth and cosign's views; `last` is done after all blobs and views, beside the end of the truth.

    Gives what is left to do, beside other things (the indexes, and reading the views again), and what `last` gives.
    Raises what Registry and `last` raise.
    """
    blobs = {content: new for a in additions for content, new in (a.truth_blobs | a.view_blobs).items()}
    with ThreadPoolExecutor(THREADS) as pool:  # each waits only for what was submitted before it
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
