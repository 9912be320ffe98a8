"""What somebody with the right to push, but without the key, can do to evidence: be refused, by the rule's name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relman.evidence import dsse, store
from relman.evidence.assessment import Criteria
from relman.evidence.attest import statement_for
from relman.evidence.dsse import BUNDLE, IN_TOTO
from relman.evidence.envelopes import Envelope, Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.model.errors import NoEvidence, PolicyRefused, RegistryError, RelmanError, TagMoved
from relman.model.image import ManifestDigest, Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Revocation, Trust, TrustedKey
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, Manifest
from tests.contract.content import Reply
from tests.contract.evidence import attach
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.registry_fixture import Place
from tests.contract.simulator import Simulator, busy, changed, hang_up
from tests.unit.reports import report

Change = Callable[[dict[str, Any]], Envelope | None]
KEY, THIEF = SigningKey.generate("ed25519"), SigningKey.generate("ecdsa-p256")
NOW = datetime(2026, 2, 1, tzinfo=UTC)
CI = TrustedKey("ci", KEY.public.pem, (Grant((TEST_RESULT, RELEASE), ("*/team/*",)),))
GOOD = Criteria(Signed(Trust({"ci": CI}), KEY), now=NOW)


def trusting(key: TrustedKey, *, now: datetime = NOW) -> Criteria:
    """How somebody checks who trusts this key alone."""
    return Criteria(Signed(Trust({key.name: key})), now=now)


@dataclass
class Scene:
    """A released image, and an attacker who may push to its repository."""

    registry: Registry
    repository: Repository
    manifest: Manifest

    def refused(self, tag: str = "118", check: Criteria | None = None) -> str:
        """Why the release is refused; nothing in the registry changes by asking."""
        before = self.registry.tags(self.repository)
        with pytest.raises(PolicyRefused) as caught:
            find_release(self.registry, self.repository, tag, check=check or trusting(CI))
        assert self.registry.tags(self.repository) == before
        return "\n".join([caught.value.what, *caught.value.details])

    def forge(self, change: Change) -> None:
        """Replace every stored envelope by what `change` makes of it (DSSE as a document), in all places."""
        stored = store.look(self.registry, self.repository, self.manifest.digest)
        forged = []
        for tag in self.own_tags():
            (envelope,) = [
                e
                for m in stored.own
                for e in stored.envelopes
                if m.digest == self.registry.resolve(self.repository, tag).digest
                and store.described(e)["digest"] == m.list_of("layers")[0]["digest"]
            ]
            made = change(json.loads(envelope.content)["dsseEnvelope"])
            forged += [made] if made else []
            self.put(tag, made or Envelope(IN_TOTO, b"{}"))
        empty = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
        self.registry.put_manifest(self.repository, store.index_tag(self.manifest.digest), empty)
        self.registry.put_manifest(self.repository, store.attestation_tag(self.manifest.digest), self.manifest)
        attach(self.registry, self.repository, self.manifest, forged)

    def put(self, tag: str, envelope: Envelope, notes: dict[str, str] | None = None) -> Manifest:
        """An evidence manifest under a tag, with annotations of the attacker's."""
        for blob in (envelope.content, store.EMPTY.content):
            self.registry.put_blob(self.repository, blob)
        made = store.evidence_manifest(self.manifest, envelope, notes or {})
        self.registry.put_manifest(self.repository, tag, made)
        return made

    def own_tags(self) -> list[str]:
        """The tags of the statements beside the image."""
        prefix = store.index_tag(self.manifest.digest) + "."
        return [t for t in self.registry.tags(self.repository, prefix) if not t.endswith(".att")]


@pytest.fixture
def scene(registry: Registry, repository: Repository) -> Scene:
    """Release 118, signed by CI, and good."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=GOOD)
    assert find_release(registry, repository, "118", check=trusting(CI)).manifest == manifest.digest
    return Scene(registry, repository, manifest)


def bundle(document: dict[str, Any]) -> Envelope:
    """An envelope's document in a bundle."""
    return Envelope(BUNDLE, json.dumps({"mediaType": BUNDLE, "dsseEnvelope": document}).encode())


def changed_payload(document: dict[str, Any]) -> Envelope:
    """Another commit, say."""
    payload = base64.b64decode(document["payload"]).replace(b"c0ffee", b"c0ffef").replace(b":118", b":119")
    return bundle(document | {"payload": base64.b64encode(payload).decode()})


def changed_signature(document: dict[str, Any]) -> Envelope:
    """One bit of the signature."""
    signature = bytearray(base64.b64decode(document["signatures"][0]["sig"]))
    signature[0] ^= 1
    return bundle(document | {"signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}]})


def resigned(document: dict[str, Any]) -> Envelope:
    """The same statement, signed by the attacker."""
    return Signed(key=THIEF).wrap(base64.b64decode(document["payload"]))


def unsigned(document: dict[str, Any]) -> Envelope:
    """The same statement, plain."""
    return Envelope(IN_TOTO, base64.b64decode(document["payload"]))


def twice(document: dict[str, Any]) -> Envelope:
    """A payload key twice: a parser that takes the first and one that takes the last would differ."""
    return Envelope(BUNDLE, bundle(document).content.replace(b'"payload":', b'"payload": "e30=", "payload":', 1))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (changed_payload, "signature-is-trusted"),
        (changed_signature, "signature-is-trusted"),
        (resigned, "signature-is-trusted"),
        (unsigned, "signature-is-trusted"),
        (twice, "evidence-present"),
        (lambda document: Envelope(BUNDLE, bundle(document).content[:-9]), "evidence-present"),
        (lambda _: Envelope(BUNDLE, b'{"dsseEnvelope":' + b"[" * 20000 + b"]" * 20000 + b"}"), "evidence-present"),
        (lambda document: bundle(document | {"padding": "x" * dsse.MAX_ENVELOPE}), "evidence-present"),
        (lambda _: None, "evidence-present"),
    ],
    ids=["payload", "signature", "another key", "no signature", "key twice", "truncated", "deep", "huge", "deleted"],
)
def test_forged_evidence_is_refused(scene: Scene, change: Change, rule: str) -> None:
    """Whatever is done to the envelopes, without the key the release is refused by the rule's name."""
    scene.forge(change)
    assert rule in scene.refused()


@pytest.mark.parametrize(
    ("key", "now", "rule"),
    [
        (replace(CI, end=datetime(2026, 1, 1, tzinfo=UTC)), NOW, "key-was-valid-then"),
        (replace(CI, start=datetime(2026, 3, 1, tzinfo=UTC)), NOW, "key-was-valid-then"),
        (replace(CI, revoked=Revocation(NOW, "stolen")), NOW, "key-is-not-revoked"),
        (CI, NOW - timedelta(hours=1), "time-is-not-in-the-future"),
        (replace(CI, grants=(Grant((TEST_RESULT, RELEASE), ("*/others/*",)),)), NOW, "signer-may-sign-this"),
        (replace(CI, grants=(Grant((TEST_RESULT,), ("*",)),)), NOW, "release-statement"),
        (replace(CI, public=THIEF.public.pem), NOW, "signature-is-trusted"),
    ],
    ids=["expired", "not yet", "revoked", "clock behind", "another repository", "no releases", "another key"],
)
def test_a_key_that_does_not_count_is_refused(scene: Scene, key: TrustedKey, now: datetime, rule: str) -> None:
    """The same good evidence is refused where its key may not sign it, may no more, or the clocks are apart."""
    assert rule in scene.refused(check=trusting(key, now=now))
    accepted = Revocation(NOW, "stolen", frozenset({scene.manifest.digest}))
    known = trusting(replace(CI, revoked=accepted))
    assert find_release(scene.registry, scene.repository, "118", check=known).manifest == scene.manifest.digest


def test_a_release_tag_re_pointed_at_another_tested_image_is_refused(scene: Scene) -> None:
    """An older, tested and released image put under a newer release's tag is refused: it is bound to another tag."""
    older = push_image(scene.registry, scene.repository, "run-shop-0", labels={"n": "0"})
    tested = report(older)
    promote(scene.registry, scene.repository, source="run-shop-0", report=tested, release_tag="117", check=GOOD)
    scene.registry.put_manifest(scene.repository, "118", older)
    said = scene.refused()
    assert "release-statement" in said
    assert "it is the release 117" in said
    assert find_release(scene.registry, scene.repository, "117", check=trusting(CI)).manifest == older.digest


def test_evidence_of_an_older_build_replayed_beside_a_newer_one_is_refused(scene: Scene) -> None:
    """Signed statements about one image say nothing about another, wherever they are laid and listed."""
    newer = push_image(scene.registry, scene.repository, "119", labels={"n": "2"})
    stored = store.look(scene.registry, scene.repository, scene.manifest.digest)
    attach(scene.registry, scene.repository, newer, stored.envelopes)
    said = scene.refused("119")
    assert "subject-is-this-image" in said
    assert "evidence-present" in said


def test_evidence_copied_to_another_repository_makes_no_release_there(scene: Scene, place: Place) -> None:
    """The test result is true of the image everywhere, and the release statement binds its own repository alone."""
    elsewhere = place.repository()
    push_image(scene.registry, elsewhere, "118")
    stored = store.look(scene.registry, scene.repository, scene.manifest.digest)
    attach(scene.registry, elsewhere, scene.manifest, stored.envelopes)
    other = Scene(scene.registry, elsewhere, scene.manifest)
    said = other.refused()
    assert "release-statement" in said
    assert "tests-passed:" not in said


def test_a_failed_result_with_a_passing_annotation_is_refused(scene: Scene) -> None:
    """Annotations and descriptors are not looked at: a signed failure called a pass in all of them is a failure."""
    failed = statement_for(
        replace(report(scene.manifest, exit_code=1), finished="2026-01-09T00:00:00Z"),
        scene.manifest.digest,
        name="shop",
    )
    notes = {"dev.sigstore.bundle.predicateType": TEST_RESULT, "result": "PASSED"}
    envelope = Signed(key=KEY).wrap(failed)
    scene.put(store.own_tag(scene.manifest.digest, envelope), envelope, notes)
    assert "tests-passed" in scene.refused()


def test_annotations_and_index_descriptors_decide_nothing(scene: Scene) -> None:
    """With every annotation and every entry of the index false, the good release is what it was."""
    for tag in scene.own_tags():
        document = dict(scene.registry.resolve(scene.repository, tag).document)
        document["annotations"] = {
            "dev.sigstore.bundle.predicateType": "https://example.com/failed",
            "result": "FAILED",
        }
        scene.registry.put_manifest(scene.repository, tag, Manifest.of(document))
    entry = scene.manifest.descriptor() | {"artifactType": BUNDLE, "annotations": {"result": "FAILED"}}
    index = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    scene.registry.put_manifest(scene.repository, store.index_tag(scene.manifest.digest), index)
    assert find_release(scene.registry, scene.repository, "118", check=trusting(CI)).manifest == scene.manifest.digest


def test_inline_content_that_is_not_what_its_digest_says_is_not_believed(scene: Scene) -> None:
    """The copy of an envelope in its manifest counts only if it has the digest; else the blob is asked for."""
    for tag in scene.own_tags():
        document = json.loads(scene.registry.resolve(scene.repository, tag).content)
        document["layers"][0]["data"] = base64.b64encode(b'{"dsseEnvelope": {}}').decode()
        scene.registry.put_manifest(scene.repository, tag, Manifest.of(document))
    assert find_release(scene.registry, scene.repository, "118", check=trusting(CI)).manifest == scene.manifest.digest


def test_an_index_is_refused_for_the_platform_that_was_not_tested(registry: Registry, repository: Repository) -> None:
    """Of an index of which only amd64 was tested an arm64 host gets nothing; amd64 costs no more for it."""
    children = {p: push_image(registry, repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)}
    push_index(registry, repository, "run-shop-1", children)
    promote(registry, repository, source="run-shop-1", report=report(children[AMD64]), release_tag="118", check=GOOD)
    assert find_release(registry, repository, "118", AMD64, check=trusting(CI)).manifest == children[AMD64].digest
    with pytest.raises(NoEvidence, match="tests-passed"):
        find_release(registry, repository, "118", ARM64, check=trusting(CI))
    tested = replace(report(children[ARM64]), platform=ARM64)
    promote(registry, repository, source="run-shop-1", report=tested, release_tag="118", check=GOOD)
    assert find_release(registry, repository, "118", ARM64, check=trusting(CI)).manifest == children[ARM64].digest


def test_a_promoter_whose_key_is_not_trusted_writes_nothing(registry: Registry, repository: Repository) -> None:
    """Who signs with a key that the service's own trust.yml does not let sign is refused before anything is written."""
    manifest = push_image(registry, repository)
    stranger = Criteria(Signed(Trust({"ci": CI}), THIEF), now=NOW)
    with pytest.raises(PolicyRefused, match="signature-is-trusted"):
        promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=stranger)
    assert registry.tags(repository) == ["run-shop-1"]


# A registry that misbehaves


def lie(reply: Reply) -> None:
    """Other bytes under the digest that was asked for."""
    reply.body = reply.body.replace(b"sha256", b"sha255", 1)


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ([busy()] * 2, None),
        ([busy(503)] * 12, RegistryError),
        ([hang_up] * 2, None),
        ([changed(lie)] * 12, RegistryError),
        ([changed(lambda reply: setattr(reply, "sent", 20))] * 12, RelmanError),
    ],
    ids=["429 that passes", "503 that stays", "hangs up twice", "lies about the digest", "breaks in the middle"],
)
def test_a_registry_that_misbehaves_never_makes_a_release(
    simulator: Simulator, simulated: Place, faults: list[Any], outcome: type[RelmanError] | None
) -> None:
    """Evidence that comes late comes; evidence that cannot be had, or is another than was asked for, is an error."""
    repository = simulated.repository()
    with simulated.connect() as registry:
        manifest = push_image(registry, repository)
        promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=GOOD)
        simulator.misbehave(rf"GET .*/manifests/sha256-{manifest.digest.hex}\.", *faults)
        if outcome is None:
            assert find_release(registry, repository, "118", check=trusting(CI)).manifest == manifest.digest
        else:
            with pytest.raises(outcome):
                find_release(registry, repository, "118", check=trusting(CI))


def test_two_promotions_of_one_tag_at_once(simulator: Simulator, simulated: Place) -> None:
    """Whoever is overtaken is told, and whatever the tag is then, it is deployable only as what was bound to it."""
    repository = simulated.repository()
    with simulated.connect() as registry, simulated.connect() as other:
        first, second = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "12")
        promoted: list[ManifestDigest] = []

        def overtaken(handle: Callable[[], Reply]) -> Reply:
            tested = replace(report(second), finished="2026-01-02T00:00:00Z")
            made = promote(other, repository, source="run-shop-2", report=tested, release_tag="118", check=GOOD)
            promoted.append(made.manifest)
            return handle()

        simulator.misbehave("PUT .*/manifests/118$", overtaken)
        with suppress(TagMoved):
            promote(registry, repository, source="run-shop-1", report=report(first), release_tag="118", check=GOOD)
        assert promoted == [second.digest]
        stands = registry.resolve(repository, "118").digest
        assert find_release(registry, repository, "118", check=trusting(CI)).manifest == stands


def test_signed_evidence_on_a_registry_with_the_referrers_api(simulator: Simulator, simulated: Place) -> None:
    """With the native API there is no index tag, cosign's manifest is there, and a third party's referrer that only
    the API lists is found."""
    simulator.content.native = True
    repository = simulated.repository()
    with simulated.connect() as registry:
        manifest = push_image(registry, repository)
        promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=GOOD)
        tags = registry.tags(repository)
        assert store.index_tag(manifest.digest) not in tags
        assert store.attestation_tag(manifest.digest) in tags
        scan = Signed(key=THIEF).wrap(
            json.dumps(
                {
                    "_type": "https://in-toto.io/Statement/v0.1",
                    "subject": [{"name": "x", "digest": {"sha256": manifest.digest.hex}}],
                    "predicateType": "https://example.com/scan/v1",
                    "predicate": {},
                }
            ).encode()
        )
        scene = Scene(registry, repository, manifest)
        made = scene.put("scanner", scan)
        del simulator.stores[repository.name].tags["scanner"]
        found = store.look(registry, repository, manifest.digest)
        assert made.digest in {m.digest for m in found.others}
        assert scan.content in {e.content for e in found.envelopes}
        assert dsse.read(BUNDLE, scan.content)
