"""Too much beside an image, and too little: both are refused by name, and neither costs more than a bounded time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from relman.evidence import store
from relman.evidence.assessment import Criteria
from relman.evidence.attest import statement_for
from relman.evidence.bounds import MAX_BYTES, MAX_MANIFEST, MAX_STATEMENTS
from relman.evidence.compatibility import attestations
from relman.evidence.copy import copy_with_evidence
from relman.evidence.dsse import DSSE, IN_TOTO, MAX_ENVELOPE
from relman.evidence.envelopes import Envelope
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.model.errors import PolicyRefused, RegistryError
from relman.model.image import Digest, Repository
from relman.model.policy import Skip
from relman.registry.blobs import RepositoryClient as Copied
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from tests.contract.content import Store, digest_of
from tests.contract.evidence import attach, find
from tests.contract.images import push_image
from tests.contract.listed import list_releases
from tests.contract.registry_fixture import Place
from tests.contract.simulator import Simulator
from tests.unit.reports import report


@pytest.fixture
def place(simulated: Place) -> Place:
    """Here always the simulator."""
    return simulated


@pytest.fixture
def image(registry: Registry, repository: Repository) -> Manifest:
    """A released image."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    return manifest


@pytest.fixture
def kept(simulator: Simulator, image: Manifest, repository: Repository) -> Store:
    """What the registry has of it, for somebody who may push."""
    assert image
    return simulator.stores[repository.name]


def put(kept: Store, manifest: Manifest, *tags: str) -> None:
    """A manifest, straight into the registry."""
    kept.manifests[str(manifest.digest)] = (manifest.media_type, manifest.content)
    kept.tags.update(dict.fromkeys(tags, str(manifest.digest)))


def statement(number: int, size: int = 10) -> Envelope:
    """A statement about nothing, of about this size."""
    return Envelope(IN_TOTO, json.dumps({"number": number, "padding": "x" * size}).encode())


def tagged(kept: Store, image: Manifest, count: int, size: int = 10) -> None:
    """Statements, each under its own tag."""
    for number in range(count):
        envelope = statement(number, size)
        kept.blobs[digest_of(envelope.content)] = envelope.content
        manifest = store.evidence_manifest(image, envelope, {})
        put(kept, manifest, store.own_tag(image.digest, envelope))


def listed(kept: Store, image: Manifest, count: int) -> None:
    """Statements that only the index lists."""
    made = [store.evidence_manifest(image, statement(n), {}) for n in range(count)]
    for manifest in made:
        put(kept, manifest)
    entries = [m.descriptor() for m in made]
    put(
        kept,
        Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}),
        store.index_tag(image.digest),
    )


def layered(kept: Store, image: Manifest, count: int) -> None:
    """One manifest with many statements."""
    layers = [store.described(statement(n)) for n in range(count)]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": store.described(store.EMPTY), "layers": layers}
    put(kept, Manifest.of(document), store.own_tag(image.digest, statement(0)))


def attested(kept: Store, image: Manifest, count: int) -> None:
    """Statements that are in cosign's view alone."""
    layers = [store.described(Envelope(DSSE, statement(n).content)) for n in range(count)]
    view = attestations(None, layers)
    assert view
    put(kept, view, store.attestation_tag(image.digest))


def refused(act: Callable[[], object], image: Manifest, rule: str) -> str:
    """The refusal, by the image and the rule."""
    with pytest.raises(PolicyRefused) as caught:
        act()
    said = "\n".join([caught.value.what, *caught.value.details])
    assert rule in said
    assert image.digest.short in said or "118" in said
    return said


@pytest.mark.parametrize("flood", [tagged, listed, layered, attested])
def test_a_thousand_statements_are_refused_before_they_are_fetched(
    simulator: Simulator,
    registry: Registry,
    repository: Repository,
    image: Manifest,
    kept: Store,
    flood: Callable[[Store, Manifest, int], None],
) -> None:
    """Wherever they lie, more statements than are read are a refusal of the image with its digest and their number, to
    deploy, to promote and to copy; it costs no more requests than a good image does. The list of releases has it."""
    flood(kept, image, 1000)
    acts = {
        "deploy": partial(find_release, registry, repository, "118"),
        "promote": partial(promote, registry, repository, source="118", report=report(image), release_tag="119"),
    }
    for act in acts.values():
        simulator.queries.clear()
        said = refused(act, image, "evidence-is-bounded")
        assert str(image.digest) in said
        assert any(f"{number} statements" in said for number in range(1000, 1003))
        assert f"at most {MAX_STATEMENTS}" in said
        assert len(simulator.log) <= 15
        assert not any(q.method == "PUT" for q in simulator.queries)
    other = replace(repository, name=f"{repository.name}-elsewhere")
    copy = partial(copy_with_evidence, Copied(registry, repository), Copied(registry, other), image)
    refused(copy, image, "evidence-is-bounded")
    assert [entry.refusal for entry in list_releases(registry, repository) if "evidence-is-bounded" in entry.refusal]


def test_as_many_statements_as_are_read_do_no_harm(
    registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """Up to the bound an image is deployed."""
    tagged(kept, image, MAX_STATEMENTS - 2, 30_000)
    assert find_release(registry, repository, "118").manifest == image.digest
    tagged(kept, image, MAX_STATEMENTS - 1, 30_000)
    said = refused(lambda: find_release(registry, repository, "118"), image, "evidence-is-bounded")
    assert f"{MAX_STATEMENTS + 1} statements" in said


def test_large_statements_are_refused_before_they_are_fetched(
    simulator: Simulator, registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """Sixty statements of 3 MB are refused by their size, and none of them is read."""
    tagged(kept, image, 60, 3_000_000)
    simulator.queries.clear()
    said = refused(lambda: find_release(registry, repository, "118"), image, "evidence-is-bounded")
    assert "171 MiB or more" in said
    assert "at most 32 MiB" in said
    assert [
        q.path for q in simulator.queries if "/blobs/" in q.path and q.path.rpartition("/")[2] != str(image.config)
    ] == []


def test_large_manifests_are_given_up(
    simulator: Simulator, registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """Manifests that are large themselves are read up to the bound together, and one alone up to its own."""
    for number in range(MAX_STATEMENTS - 10):
        envelope = statement(number)
        notes = {"padding": "x" * (MAX_MANIFEST - 2000)}
        put(kept, store.evidence_manifest(image, envelope, notes), store.own_tag(image.digest, envelope))
    simulator.queries.clear()
    refused(lambda: find_release(registry, repository, "118"), image, "evidence-is-bounded")
    assert len(simulator.log) < MAX_BYTES // MAX_MANIFEST + 20
    huge = store.evidence_manifest(image, statement(0), {"padding": "x" * MAX_MANIFEST})
    for tag in [t for t in kept.tags if store._OWN_TAG.fullmatch(t)][3:]:
        del kept.tags[tag]
    put(kept, huge, store.own_tag(image.digest, statement(0)))
    with pytest.raises(RegistryError, match=f"larger than {MAX_MANIFEST} bytes"):
        find_release(registry, repository, "118")


def test_a_statement_that_is_larger_than_it_says_is_not_read_on(
    registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """A descriptor that names a small size brings nobody more than that."""
    envelope = statement(0, MAX_ENVELOPE - 100)
    kept.blobs[digest_of(envelope.content)] = envelope.content
    document = dict(store.evidence_manifest(image, envelope, {}).document)
    document["layers"] = [store.described(envelope) | {"size": 10}]
    put(kept, Manifest.of(document), store.own_tag(image.digest, envelope))
    with pytest.raises(RegistryError, match="larger than 10 bytes"):
        find_release(registry, repository, "118")


# What was deleted


def failed(registry: Registry, repository: Repository, image: Manifest, *, released: bool) -> Envelope:
    """A later run whose tests failed, in an envelope beside the image; released all the same if a person said so."""
    tested = replace(report(image, exit_code=1), finished="2026-06-01T00:00:00Z")
    envelope = Envelope(IN_TOTO, statement_for(tested, image.digest, name=str(repository)))
    if released:
        skip = Skip("tests-passed", "a fire", "ada", "2026-06-01T00:00:00Z")
        check = Criteria(skips=(skip,))
        promote(registry, repository, source="118", report=tested, release_tag="118", check=check)
    else:
        attach(registry, repository, image, [envelope])
    return envelope


def delete(kept: Store, payload: bytes, *, traces: bool) -> None:
    """Delete what says this: the manifests under tags of their own, and with `traces` the entries of the index too."""
    gone = {d for d, (_, content) in kept.manifests.items() if digest_of(payload).encode() in content}
    for tag in [t for t, d in kept.tags.items() if d in gone]:
        del kept.tags[tag]
    for digest in gone:
        del kept.manifests[digest]
    if not traces:
        for tag, digest in [*kept.tags.items()]:
            kind, content = kept.manifests[digest]
            if kind == OCI_INDEX:
                entries = [e for e in json.loads(content)["manifests"] if e["digest"] not in gone]
                put(kept, Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}), tag)


@pytest.mark.parametrize("released", [False, True], ids=["attached", "released by a skip"])
def test_a_failure_that_was_deleted_is_missed_where_anything_names_it(
    registry: Registry, repository: Repository, image: Manifest, kept: Store, released: bool
) -> None:
    """A statement of failure that is deleted, and that the index still lists, makes the release undeployable by name,
    and is not forgotten by promoting or copying it."""
    envelope = failed(registry, repository, image, released=released)
    payloads = [o.payload for o in find(registry, repository, image.digest) if b'"FAILED"' in o.payload]
    assert payloads
    test_result = next(p for p in payloads if b"test-result" in p.partition(b'"predicateType"')[2][:80])
    if not released:
        assert test_result == envelope.content
        refused(lambda: find_release(registry, repository, "118"), image, "tests-passed")
    delete(kept, test_result, traces=True)
    said = refused(lambda: find_release(registry, repository, "118"), image, "evidence-is-whole")
    assert "was deleted" in said
    again = partial(promote, registry, repository, source="118", report=report(image), release_tag="118")
    refused(again, image, "evidence-is-whole")
    other = replace(repository, name=f"{repository.name}-elsewhere")
    refused(
        partial(copy_with_evidence, Copied(registry, repository), Copied(registry, other), image),
        image,
        "evidence-is-whole",
    )
    skip = Skip("evidence-is-whole", "deleted on purpose", "ada", "2026-06-02T00:00:00Z")
    again(check=Criteria(skips=(skip,), now=datetime.now(UTC) + timedelta(seconds=2)))
    assert "deleted on purpose" in find_release(registry, repository, "118").skipped[0]


def test_a_failure_that_a_release_was_made_by_is_missed_without_any_other_trace(
    registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """Deleted from the index too, it is still named by the release statement that a person's skip made of it."""
    failed(registry, repository, image, released=True)
    (test_result,) = [
        o.payload
        for o in find(registry, repository, image.digest)
        if b'"FAILED"' in o.payload and b"attestation/test-result" in o.payload
    ]
    delete(kept, test_result, traces=False)
    said = refused(lambda: find_release(registry, repository, "118"), image, "evidence-is-whole")
    assert Digest.of(test_result).hex[:12] in said


def test_a_failure_deleted_with_every_trace_counts_no_more(
    registry: Registry, repository: Repository, image: Manifest, kept: Store
) -> None:
    """As the documentation says: what was deleted with all that names it is as if it had never been said."""
    envelope = failed(registry, repository, image, released=False)
    refused(lambda: find_release(registry, repository, "118"), image, "tests-passed")
    delete(kept, envelope.content, traces=False)
    assert find_release(registry, repository, "118").manifest == image.digest
