"""Promotion against a registry that fails at any moment, or is written to by others meanwhile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest

from relman.evidence.assessment import Criteria
from relman.evidence.dsse import DSSE
from relman.evidence.envelopes import Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.evidence.store import attestation_tag, index_tag, look
from relman.evidence.store import descriptors as listed_in
from relman.model.errors import RelmanError, TagMoved, Unreachable
from relman.model.image import Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Trust, TrustedKey
from relman.registry.client import Registry
from relman.registry.http.transport import PAUSES
from relman.registry.images import describe
from relman.registry.manifest import OCI_INDEX, Manifest
from tests.contract.content import Reply
from tests.contract.images import AMD64, push_image, push_index
from tests.contract.registry_fixture import Place, place_of
from tests.contract.simulator import Simulator, hang_up
from tests.lab.layout import LabError
from tests.lab.process import until
from tests.unit.reports import report


@pytest.fixture
def place(simulated: Place) -> Place:
    """Here always the simulator."""
    return simulated


def signing() -> Criteria:
    """Signs, and trusts only what it signed."""
    key = SigningKey.generate("ed25519")
    grant = Grant((TEST_RESULT, RELEASE), ("*",))
    return Criteria(Signed(Trust({"ci": TrustedKey("ci", key.public.pem, (grant,))}), key))


def _promote(registry: Registry, repository: Repository, image: Manifest, check: Criteria) -> object:
    """Release the image as 118, which stable follows."""
    tested = report(image)
    return promote(
        registry,
        repository,
        source="run-shop-1",
        report=tested,
        release_tag="118",
        channels=["stable"],
        check=check,
    )


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_promotion_that_dies_anywhere_leaves_no_release_without_evidence(
    simulator: Simulator, place: Place, *, signed: bool
) -> None:
    """Cut off before its first, second, … request: a release tag that is there has its evidence, a channel has its
    release, and doing it again completes it."""
    check = signing() if signed else Criteria()
    for cut_after in itertools.count():
        repository = place.repository()
        with place.connect() as registry:
            manifest = push_image(registry, repository)
            tags = ["118", "stable"]
            promotion = partial(_promote, registry, repository, manifest, check)
            simulator.misbehave("", *[lambda handle: handle()] * cut_after, *[hang_up] * 8 * (len(PAUSES) + 1))
            try:
                promotion()
            except Unreachable:
                finished = False
            else:
                finished = True
            simulator.behave()
            there = [tag for tag in tags if registry.find(repository, tag)]
            assert there == tags[: len(there)]
            for tag in there:
                assert find_release(registry, repository, tag, check=check).manifest == manifest.digest
            promotion()
            assert find_release(registry, repository, "stable", check=check).manifest == manifest.digest
            listed = look(registry, repository, manifest.digest)
            assert len(listed.own) == 2
            assert {d["digest"] for d in listed_in(listed.index)} == {str(m.digest) for m in listed.own}
            assert len(listed_in(listed.attestations, "layers")) >= 2 * signed
        if finished:
            break
    assert cut_after > 10


def test_a_channel_that_a_dying_promotion_left_behind(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """A promotion that was cut off after its tag, and before its channel left the release before, is completed when it
    is done again; a channel that somebody put on what is no release stays."""
    old, new, foreign = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "123")

    def release(tag: str, image: Manifest, day: int) -> tuple[str, ...]:
        at = Criteria(now=datetime(2026, 1, day, tzinfo=UTC))
        return promote(
            registry,
            repository,
            source=image.digest,
            report=report(image),
            release_tag=tag,
            channels=["stable"],
            check=at,
        ).channels

    release("117", old, 2)
    simulator.misbehave("PUT .*/manifests/stable", *[hang_up] * (len(PAUSES) + 1))
    with pytest.raises(Unreachable):
        release("118", new, 3)
    simulator.behave()
    assert registry.resolve(repository, "118") == new
    assert registry.resolve(repository, "stable") == old
    assert release("118", new, 4) == ("stable",)
    assert registry.resolve(repository, "stable") == new
    registry.put_manifest(repository, "stable", foreign)
    assert release("118", new, 5) == ()
    assert registry.resolve(repository, "stable") == foreign


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("native", [True, False], ids=["native API", "fallback index"])
@pytest.mark.parametrize("auth", ["basic", "token"])
def test_few_requests(auth: str, native: bool, signed: bool) -> None:
    """A first promotion with a channel takes at most 30 requests, the challenge and tokens among them; done again at
    most 20. One of an index costs at most 10 more: what goes beside it and beside its image is uploaded once. The
    evidence costs a deployment at most 6 more than describing the image does."""
    key = SigningKey.generate("ed25519")
    check = Criteria(Signed(key=key)) if signed else Criteria()
    with Simulator(auth=auth, native=native).running() as simulator:
        place = place_of(simulator)
        repository, other = place.repository(), place.repository()
        with place.connect() as registry:
            manifest = push_image(registry, repository)
            child = push_image(registry, other, "child")
            push_index(registry, other, "run-shop-1", {AMD64: child})

        def counted(act: Callable[[Registry], object], *, writes: bool = False) -> int:
            simulator.queries.clear()
            simulator.tokens.clear()
            with place.connect(writes=writes) as registry:
                act(registry)
            return len(simulator.log)

        def promotion(registry: Registry, repository: Repository = repository, image: Manifest = manifest) -> object:
            return _promote(registry, repository, image, check)

        first = counted(promotion, writes=True)
        assert first <= 30
        assert counted(promotion, writes=True) <= 20
        assert counted(lambda registry: promotion(registry, other, child), writes=True) <= first + 10
        bare = counted(lambda registry: describe(registry, repository, "118"))
        assert counted(lambda registry: find_release(registry, repository, "118", check=check)) - bare <= 6


def test_a_tag_taken_while_evidence_is_written_stays(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """When another digest is put under the free release tag during our uploads, ours ends as TagMoved, and the tag
    is what they made it: the last look at the tag comes after them, however slow they are."""
    first, second = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "12")

    def looked_at() -> bool:
        return sum(query.path.endswith("/manifests/118") for query in simulator.queries) > 1

    def taken(handle: Callable[[], Reply]) -> Reply:
        with suppress(LabError):
            until(looked_at, "the last look at the tag, which comes too early", 0.5)
        simulator.stores[repository.name].tags["118"] = str(second.digest)
        return handle()

    simulator.misbehave("POST .*/blobs/uploads/", taken)
    with pytest.raises(TagMoved):
        promote(registry, repository, source="run-shop-1", report=report(first), release_tag="118", channels=["stable"])
    assert registry.resolve(repository, "118") == second
    assert "stable" not in registry.tags(repository)


def test_the_overtaken_promotion_is_told(simulator: Simulator, registry: Registry, repository: Repository) -> None:
    """When another digest is put under the release tag just after ours, ours ends as TagMoved."""
    first, second = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "12")

    def overtaken(handle: Callable[[], Reply]) -> Reply:
        reply = handle()
        simulator.stores[repository.name].tags["118"] = str(second.digest)
        return reply

    simulator.misbehave("PUT .*/manifests/118", overtaken)
    with pytest.raises(TagMoved):
        promote(registry, repository, source="run-shop-1", report=report(first), release_tag="118", channels=["stable"])
    assert "stable" not in registry.tags(repository)


def test_an_entry_lost_to_another_writer_is_listed_again(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """When another writer puts an index without our entry just after ours, ours is added to it."""
    manifest = push_image(registry, repository)
    theirs = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [manifest.descriptor()]})
    registry.put_manifest(repository, "theirs", theirs)

    def overtaken(handle: Callable[[], Reply]) -> Reply:
        reply = handle()
        simulator.stores[repository.name].tags[index_tag(manifest.digest)] = str(theirs.digest)
        return reply

    simulator.misbehave(f"PUT .*/manifests/{index_tag(manifest.digest)}$", overtaken, overtaken)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    assert len(registry.resolve(repository, index_tag(manifest.digest)).list_of("manifests")) == 3


def test_an_attestation_lost_to_another_writer_is_added_again(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """When another writer puts cosign's manifest without our attestations just after ours, ours are added to it."""
    manifest = push_image(registry, repository)
    tag = attestation_tag(manifest.digest)

    def overtaken(handle: Callable[[], Reply]) -> Reply:
        reply = handle()
        simulator.stores[repository.name].tags[tag] = str(manifest.digest)
        return reply

    simulator.misbehave(f"PUT .*/manifests/{tag}$", overtaken, overtaken)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=signing())
    view = registry.resolve(repository, tag)
    theirs, *ours = view.list_of("layers")
    assert theirs == manifest.list_of("layers")[0]
    assert {layer["mediaType"] for layer in ours} == {DSSE}
    described = json.loads(registry.blob(repository, view.config))
    assert described["rootfs"]["diff_ids"] == [layer["digest"] for layer in (theirs, *ours)]


@pytest.mark.parametrize("content", [None, b"{}", b"{", b'{"manifests": [1]}', b'{"manifests": [{"digest": "x"}]}'])
def test_a_broken_index_is_made_whole(
    simulator: Simulator, registry: Registry, repository: Repository, content: bytes | None
) -> None:
    """An index that names what was deleted, or that is nonsense, stops nobody: the next writer replaces it."""
    manifest = push_image(registry, repository)
    store, tag = simulator.stores[repository.name], index_tag(manifest.digest)
    gone = push_image(registry, repository, "gone", labels={"gone": ""})
    index = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [gone.descriptor()]})
    index = index if content is None else Manifest(content, OCI_INDEX)
    store.manifests[str(index.digest)] = (OCI_INDEX, index.content)
    store.tags[tag] = str(index.digest)
    del store.manifests[str(gone.digest)]
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    assert len(registry.resolve(repository, tag).list_of("manifests")) == 2
    assert find_release(registry, repository, "118").manifest == manifest.digest


def test_a_registry_with_the_referrers_api_gets_no_index(simulator: Simulator) -> None:
    """Where the registry answers with OCI-Subject it lists the evidence itself, and relman writes no index tag."""
    simulator.content.native = True
    place = place_of(simulator)
    repository = place.repository()
    with place.connect() as registry:
        manifest = push_image(registry, repository)
        promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
        assert index_tag(manifest.digest) not in registry.tags(repository)
        assert find_release(registry, repository, "118").manifest == manifest.digest


def test_hidden_evidence_is_a_refusal(simulator: Simulator, registry: Registry, repository: Repository) -> None:
    """A registry that hides or loses the statement makes the release undeployable, never deployable."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    store = simulator.stores[repository.name]
    for digest, (_, content) in [*store.manifests.items()]:
        if b"in-toto" in content:
            del store.manifests[digest]
    with pytest.raises(RelmanError):
        find_release(registry, repository, "118")
