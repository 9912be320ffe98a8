"""Releases copied between repositories and registries: the same digests, with everything known of them, resumable."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from relman.evidence import store
from relman.evidence.assessment import Criteria
from relman.evidence.compatibility import keep_attestations
from relman.evidence.copy import copy_with_evidence
from relman.evidence.dsse import DSSE
from relman.evidence.envelopes import Envelope, Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.model.errors import AccessDenied, NoEvidence, PolicyRefused, RegistryError, RelmanError, Unreachable
from relman.model.image import Digest
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Trust, TrustedKey
from relman.registry import blobs
from relman.registry.auth import Credentials
from relman.registry.blobs import RepositoryClient, copy_blob
from relman.registry.copy import copy_manifest
from relman.registry.manifest import OCI_MANIFEST, Manifest
from tests.contract.content import Reply
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.registry_fixture import Place as Where
from tests.contract.registry_fixture import place_of
from tests.contract.simulator import Simulator, busy, changed, hang_up
from tests.lab.registry import USER
from tests.lab.registry import Registry as RealRegistry
from tests.unit.reports import report

KEY = SigningKey.generate("ed25519")
CI = TrustedKey("ci", KEY.public.pem, (Grant((TEST_RESULT, RELEASE), ("*",)),))
CHECK = Criteria(Signed(Trust({"ci": CI}), KEY), now=datetime(2026, 2, 1, tzinfo=UTC))
CHUNK = 50_000


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "CHUNK", CHUNK)


def _place(where: Where, stack: ExitStack) -> RepositoryClient:
    return RepositoryClient(stack.enter_context(where.connect()), where.repository())


WAYS = ["real to simulated", "simulated to real", "real to itself", "simulated to itself", "bearer to itself"]


@pytest.fixture(params=WAYS)
def way(
    request: pytest.FixtureRequest, real_registry: RealRegistry, bearer_registry: Where
) -> Iterator[tuple[RepositoryClient, RepositoryClient]]:
    """From where to where."""
    kind = str(request.param)
    with ExitStack() as stack:
        real = Where(real_registry.address, Credentials(USER, real_registry.password), ca=str(real_registry.ca))
        simulated = place_of(stack.enter_context(Simulator().running()))
        wheres = {"real": real, "simulated": simulated, "bearer": bearer_registry}
        source, _, target = kind.partition(" to ")
        yield _place(wheres[source], stack), _place(wheres[source if target == "itself" else target], stack)


@pytest.fixture
def there(simulator: Simulator) -> Iterator[tuple[Simulator, RepositoryClient, RepositoryClient]]:
    """A simulator to copy from, which may misbehave, and another simulator to copy to."""
    with ExitStack() as stack:
        other = stack.enter_context(Simulator().running())
        yield simulator, _place(place_of(simulator), stack), _place(place_of(other), stack)


def push_layers(place: RepositoryClient, tag: str, *sizes: int) -> Manifest:
    """An image of layers of these sizes."""
    small = push_image(place.registry, place.repository, tag)
    contents = [random.Random(size).randbytes(size) for size in sizes]  # noqa: S311 - any bytes will do
    layers = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": str(place.registry.put_blob(place.repository, content)),
            "size": len(content),
        }
        for content in contents
    ]
    document = {**small.document, "mediaType": OCI_MANIFEST, "layers": layers}
    made = Manifest.of(document)
    place.registry.put_manifest(place.repository, tag, made)
    return made


def released(place: RepositoryClient, manifest: Manifest) -> None:
    """Release 118 of what is under run-shop-1."""
    promote(
        place.registry,
        place.repository,
        source="run-shop-1",
        report=report(manifest),
        release_tag="118",
        check=CHECK,
    )


def test_a_release_is_the_same_elsewhere(way: tuple[RepositoryClient, RepositoryClient]) -> None:
    """Copied and released there it has the same digest, its statements under the same tags, both views, and every
    blob; copying it again finds nothing missing."""
    source, target = way
    manifest = push_layers(source, "run-shop-1", 0, 10, CHUNK, CHUNK * 2, CHUNK * 3 + 7)
    released(source, manifest)
    told: list[tuple[Digest, int, int]] = []
    assert copy_with_evidence(source, target, manifest, lambda *said: told.append(said)) > 5
    promote(target.registry, target.repository, source=manifest.digest, report=None, release_tag="118", check=CHECK)
    assert find_release(target.registry, target.repository, "118", check=CHECK).manifest == manifest.digest
    for layer in manifest.list_of("layers"):
        copied = target.registry.blob(target.repository, Digest(layer["digest"]))
        assert copied == source.registry.blob(source.repository, Digest(layer["digest"]))
    prefix = store.index_tag(manifest.digest)
    tags = [set(p.registry.tags(p.repository, prefix)) for p in way]
    assert tags[0] <= tags[1]
    view = target.registry.resolve(target.repository, store.attestation_tag(manifest.digest))
    assert len(view.list_of("layers")) == 3
    assert len(target.registry.resolve(target.repository, prefix).list_of("manifests")) == 3
    assert all(done <= total for _, done, total in told)
    assert copy_with_evidence(source, target, manifest) == 0


def test_an_index_is_copied_with_its_children_and_their_evidence(
    way: tuple[RepositoryClient, RepositoryClient],
) -> None:
    """Every child comes along; each tested platform is a release there, the untested one is not."""
    source, target = way
    children = {
        p: push_image(source.registry, source.repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)
    }
    index = push_index(source.registry, source.repository, "run-shop-1", children)
    released(source, children[AMD64])
    copy_with_evidence(source, target, index)
    promote(
        target.registry,
        target.repository,
        source=index.digest,
        report=None,
        release_tag="118",
        platform=AMD64,
        check=CHECK,
    )
    assert target.registry.resolve(target.repository, "118") == index
    assert (
        find_release(target.registry, target.repository, "118", AMD64, check=CHECK).manifest == children[AMD64].digest
    )
    with pytest.raises(NoEvidence):
        find_release(target.registry, target.repository, "118", ARM64, check=CHECK)
    assert target.registry.has(target.repository, children[ARM64].digest)


def test_what_is_not_a_release_is_not_one_elsewhere(way: tuple[RepositoryClient, RepositoryClient]) -> None:
    """A copied image without evidence is refused there; a copied release statement binds its own repository alone. Both
    are told the command that makes it a release there, the second where it is one; after that command it is."""
    source, target = way
    manifest = push_image(source.registry, source.repository)
    copy_with_evidence(source, target, manifest)
    with pytest.raises(NoEvidence):
        promote(target.registry, target.repository, source=manifest.digest, report=None, release_tag="118", check=CHECK)
    target.registry.put_manifest(target.repository, "118", manifest)
    command = f"relman promote 118 --to {target.repository}"
    with pytest.raises(NoEvidence, match="evidence-present") as caught:
        find_release(target.registry, target.repository, "118", check=CHECK)
    assert command in caught.value.hint
    released(source, manifest)
    copy_with_evidence(source, target, manifest)
    with pytest.raises(PolicyRefused, match="release-statement") as refused:
        find_release(target.registry, target.repository, "118", check=CHECK)
    assert f"is the release {source.repository}:118, and" in refused.value.what
    assert refused.value.hint == f"In the checkout of {source.repository}: {command}"
    promote(target.registry, target.repository, source=manifest.digest, report=None, release_tag="118", check=CHECK)
    assert find_release(target.registry, target.repository, "118", check=CHECK).manifest == manifest.digest


def test_third_parties_attestations_come_along(way: tuple[RepositoryClient, RepositoryClient]) -> None:
    """What cosign wrote into its manifest, with annotations, is in the one at the target, beside what is there."""
    source, target = way
    manifest = push_image(source.registry, source.repository)
    push_image(target.registry, target.repository)
    theirs = []
    for number, place in enumerate(way):
        content = json.dumps({"payloadType": "application/vnd.in-toto+json", "n": number}).encode()
        place.registry.put_blob(place.repository, content)
        layer = store.described(Envelope(DSSE, content)) | {"annotations": {"dev.sigstore.cosign/bundle": str(number)}}
        keep_attestations(place.registry, place.repository, manifest.digest, None, [layer])
        theirs.append(layer)
    copy_with_evidence(source, target, manifest)
    view = target.registry.resolve(target.repository, store.attestation_tag(manifest.digest))
    assert view.list_of("layers") == [theirs[1], theirs[0]]


def test_a_copy_that_dies_anywhere_is_completed(there: tuple[Simulator, RepositoryClient, RepositoryClient]) -> None:
    """Cut off after the first, second, … request to the source, then started again: it is whole, and what was there is
    not read again."""
    simulator, source, target = there
    manifest = push_layers(source, "run-shop-1", 10, CHUNK * 2)
    released(source, manifest)
    for cut_after in itertools.count():
        fresh = replace(target, repository=replace(target.repository, name=f"team/copy-{cut_after}"))
        simulator.misbehave("", *[lambda handle: handle()] * cut_after, *[hang_up] * 60)
        try:
            copy_with_evidence(source, fresh, manifest)
            finished = True
        except RelmanError:
            finished = False
        simulator.behave()
        had = {d for d in map(str, _digests(manifest)) if fresh.registry.has(fresh.repository, Digest(d))}
        simulator.queries.clear()
        copy_with_evidence(source, fresh, manifest)
        promote(fresh.registry, fresh.repository, source=manifest.digest, report=None, release_tag="118", check=CHECK)
        assert find_release(fresh.registry, fresh.repository, "118", check=CHECK).manifest == manifest.digest
        read = {q.path.rpartition("/")[2] for q in simulator.queries if "/blobs/" in q.path}
        assert not had & read
        if finished:
            break
    assert cut_after > 5


def _digests(manifest: Manifest) -> list[Digest]:
    return [Digest(d["digest"]) for d in manifest.list_of("layers")]


def test_a_source_that_breaks_in_mid_blob_is_read_on_from_there(
    there: tuple[Simulator, RepositoryClient, RepositoryClient],
) -> None:
    """The rest alone is asked for, and what arrives is the blob."""
    simulator, source, target = there
    manifest = push_layers(source, "1", CHUNK * 4)
    (digest,) = _digests(manifest)
    simulator.queries.clear()
    simulator.misbehave("GET .*/blobs/", changed(_cut(CHUNK * 2 + 11)), changed(_cut(70_000)))
    assert copy_blob(source, target, digest, CHUNK * 4)
    assert target.registry.blob(target.repository, digest) == source.registry.blob(source.repository, digest)
    ranges = [q.headers.get("range") for q in simulator.queries if q.method == "GET" and "/blobs/" in q.path]
    assert ranges[0] is None
    assert [r for r in ranges if r] == [f"bytes={CHUNK * 2 + 11}-", f"bytes={CHUNK * 2 + 11 + 70_000}-"]


def _cut(sent: int) -> Callable[[Reply], None]:
    return lambda reply: setattr(reply, "sent", sent)


def test_a_source_that_breaks_again_and_again_is_given_up(
    there: tuple[Simulator, RepositoryClient, RepositoryClient],
) -> None:
    """No progress in several tries is an end, and leaves no blob."""
    simulator, source, target = there
    manifest = push_layers(source, "1", CHUNK * 2)
    (digest,) = _digests(manifest)
    simulator.misbehave("GET .*/blobs/", *[hang_up] * 60)
    with pytest.raises(Unreachable):
        copy_blob(source, target, digest, CHUNK * 2)
    assert not target.registry.has(target.repository, digest)


@pytest.mark.parametrize("size", [CHUNK, CHUNK * 2 + 5])
@pytest.mark.parametrize("lie", ["other bytes", "more", "fewer"])
def test_a_source_that_lies_about_a_blob_is_found(
    there: tuple[Simulator, RepositoryClient, RepositoryClient], size: int, lie: str
) -> None:
    """Other, more or fewer bytes than the digest and size promise never become a blob at the target."""
    simulator, source, target = there
    manifest = push_layers(source, "1", size)
    (digest,) = _digests(manifest)
    store_of = simulator.stores[source.repository.name].blobs
    content = store_of[str(digest)]
    store_of[str(digest)] = {"other bytes": b"x" + content[1:], "more": content + b"x", "fewer": content[:-1]}[lie]
    with pytest.raises(RegistryError):
        copy_blob(source, target, digest, size)
    assert not target.registry.has(target.repository, digest)


def test_a_target_that_breaks_gets_the_blob_anew(there: tuple[Simulator, RepositoryClient, RepositoryClient]) -> None:
    """A broken upload is begun again from its beginning, and a busy registry is waited for."""
    simulator, target, source = there
    manifest = push_layers(source, "1", CHUNK * 3)
    (digest,) = _digests(manifest)
    simulator.misbehave("PATCH ", lambda handle: handle(), hang_up, busy())
    assert copy_blob(source, target, digest, CHUNK * 3)
    assert target.registry.blob(target.repository, digest) == source.registry.blob(source.repository, digest)


def test_blobs_are_mounted_where_they_can_be(simulator: Simulator, simulated: Where) -> None:
    """Within a registry no blob is read or written again; where the registry does not mount, it is streamed."""
    with simulated.connect() as registry:
        source, targets = RepositoryClient(registry, simulated.repository()), [simulated.repository() for _ in range(2)]
        manifest = push_layers(source, "1", 10, CHUNK * 2)
        for mounts, target in zip((True, False), targets, strict=True):
            simulator.content.mounts = mounts
            simulator.queries.clear()
            copy_manifest(source, RepositoryClient(registry, target), manifest)
            moved = [q for q in simulator.queries if "/blobs/" in q.path and q.method in ("GET", "PUT", "PATCH")]
            assert (moved == []) is mounts
            assert registry.resolve(target, manifest.digest) == manifest


def _pieces(source: RepositoryClient, target: RepositoryClient, manifest: Manifest) -> list[int]:
    """Copy the image, and give how many bytes of its only layer were said to be done, one after the other."""
    (digest,) = _digests(manifest)
    told: list[tuple[Digest, int, int]] = []
    copy_manifest(source, target, manifest, lambda *said: told.append(said))
    assert target.registry.resolve(target.repository, manifest.digest) == manifest
    assert Digest.of(target.registry.blob(target.repository, digest)) == digest
    return [done for which, done, _ in told if which == digest]


def test_a_bearer_token_for_both_repositories_mounts(bearer: Where) -> None:
    """Whoever may read the one and write the other moves no blob between them, however the registry asks for it."""
    with ExitStack() as stack:
        source, target = _place(bearer, stack), _place(bearer, stack)
        assert _pieces(source, target, push_layers(source, "1", CHUNK * 3)) == [CHUNK * 3]


@pytest.mark.parametrize("lenient", [True, False])
def test_a_token_for_one_repository_alone_copies_over_this_machine(lenient: bool) -> None:
    """Where no token is for both, the blobs are read by the one and written by the other."""
    with Simulator(auth="token", lenient=lenient).running() as simulator, ExitStack() as stack:
        simulator.separate = True
        source, target = (_place(place_of(simulator), stack) for _ in range(2))
        assert _pieces(source, target, push_layers(source, "1", CHUNK * 3)) == [CHUNK, CHUNK * 2, CHUNK * 3]


def test_whoever_may_not_write_is_refused_to_mount(simulator: Simulator) -> None:
    """The refusal is of the repository that is written to, and nothing comes into being there."""
    simulator.auth = "token"
    with ExitStack() as stack:
        source, target = (_place(place_of(simulator), stack) for _ in range(2))
        manifest = push_layers(source, "1", CHUNK)
        simulator.deny = frozenset({(target.repository.name, "push")})
        with pytest.raises(AccessDenied, match=f"writing to {target.repository.name}"):
            copy_manifest(source, target, manifest)
        assert not simulator.stores[target.repository.name].blobs
