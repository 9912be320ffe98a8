"""Promotion, evidence and releases, against the real registry and the simulator."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from relman.evidence.assessment import Criteria
from relman.evidence.attest import statement_for
from relman.evidence.dsse import IN_TOTO
from relman.evidence.envelopes import Envelope
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.evidence.store import index_tag, own_tag
from relman.evidence.test_result import read_statement, read_test_result
from relman.evidence.verification_summary import read_release
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.errors import NoEvidence, PolicyRefused, TagMoved, UnknownTag, UsageError
from relman.model.image import Digest, ManifestDigest, Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.run import Release
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, Manifest
from tests.contract.evidence import attach, find
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.listed import list_releases
from tests.contract.registry_fixture import Place
from tests.unit.reports import report

LABELS = {
    DEPLOY_SECTION: '{"ports": ["8080"]}',
    SERVICE_NAME: "shop",
    "org.opencontainers.image.revision": "c0ffee",
}


def test_another_machine_finds_the_release(place: Place, registry: Registry, repository: Repository) -> None:
    """After promotion a client that shares nothing but the registry finds the release with its frozen settings."""
    manifest = push_image(registry, repository, labels=LABELS, run={"Volumes": {"/data": {}}})
    tested = report(manifest)
    promoted = promote(registry, repository, source="run-shop-1", report=tested, release_tag="118", channels=["stable"])
    with place.connect() as other:
        found = find_release(other, repository, "118")
        assert other.resolve(repository, "stable") == manifest
    assert found == promoted
    assert (found.manifest, found.config) == (manifest.digest, manifest.config)
    assert found.deploy == {"ports": ["8080"]}
    assert (found.service, found.commit, found.volumes) == ("shop", "c0ffee", ("/data",))


def test_promoting_again_changes_nothing(registry: Registry, repository: Repository) -> None:
    """The second promotion of the same report leaves the same tags and the same two statements."""
    manifest = push_image(registry, repository)
    for day in (1, 2):
        check = Criteria(now=datetime(2026, 2, day, tzinfo=UTC))
        promote(registry, repository, source=manifest.digest, report=report(manifest), release_tag="118", check=check)
    assert len(find(registry, repository, manifest.digest)) == 2
    assert len(registry.resolve(repository, index_tag(manifest.digest)).list_of("manifests")) == 2
    assert len([t for t in registry.tags(repository) if t.startswith("sha256-")]) == 3


def test_only_the_tested_image_is_promoted(registry: Registry, repository: Repository) -> None:
    """An image with another configuration than the tested one, and one whose tests failed, leave no tag and no
    evidence."""
    tested, other = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "12")
    with pytest.raises(PolicyRefused, match="config-is-the-tested-one"):
        promote(registry, repository, source="run-shop-2", report=report(tested), release_tag="118")
    with pytest.raises(PolicyRefused, match="tests-passed"):
        promote(registry, repository, source="run-shop-2", report=report(other, exit_code=1), release_tag="118")
    assert registry.tags(repository) == ["run-shop-1", "run-shop-2"]


def test_a_taken_release_tag_is_refused_before_anything_is_written(registry: Registry, repository: Repository) -> None:
    """Promoting to a release tag that stands for another digest leaves the tag and writes no evidence."""
    first, second = (push_image(registry, repository, f"run-shop-{n}", labels={"n": n}) for n in "12")
    promote(registry, repository, source="run-shop-1", report=report(first), release_tag="118")
    before = registry.tags(repository)
    with pytest.raises(TagMoved):
        promote(
            registry, repository, source="run-shop-2", report=report(second), release_tag="118", channels=["stable"]
        )
    assert registry.tags(repository) == before
    assert registry.resolve(repository, "118") == first


def test_a_release_that_is_made_again_moves_no_channel_back(registry: Registry, repository: Repository) -> None:
    """Signing an older release again leaves the channel on the later one, and says so; a channel that is not there yet
    is made, and a later release takes it further."""
    images = {
        tag: push_image(registry, repository, f"run-shop-{tag}", labels={"n": tag}) for tag in ("118", "119", "120")
    }

    def release(tag: str, day: int, *channels: str) -> Release:
        at = Criteria(now=datetime(2026, 1, day, tzinfo=UTC))
        source, tested = images[tag].digest, report(images[tag])
        return promote(registry, repository, source=source, report=tested, release_tag=tag, channels=channels, check=at)

    assert release("118", 2, "stable").channels == ("stable",)
    assert release("119", 3, "stable").channels == ("stable",)
    assert release("118", 4, "stable", "lts").channels == ("lts",)
    assert release("119", 5, "stable").channels == ("stable",)
    assert registry.resolve(repository, "stable") == images["119"]
    assert registry.resolve(repository, "lts") == images["118"]
    release("120", 6, "stable")
    assert release("119", 7, "stable").channels == ()
    assert registry.resolve(repository, "stable") == images["120"]
    assert find_release(registry, repository, "119").manifest == images["119"].digest


@pytest.mark.parametrize("tag", ["run-shop-9", "sha256-0", "stable", "no tag", "-x", ""])
def test_names_that_cannot_be_releases(registry: Registry, repository: Repository, tag: str) -> None:
    """Tags of runs and evidence, a channel's name and what is no tag at all are refused as release tags."""
    manifest = push_image(registry, repository)
    with pytest.raises(UsageError):
        promote(
            registry, repository, source="run-shop-1", report=report(manifest), release_tag=tag, channels=["stable"]
        )
    assert registry.tags(repository) == ["run-shop-1"]


def test_no_evidence_no_release(registry: Registry, repository: Repository) -> None:
    """A tag without evidence is refused; an unknown tag is unknown."""
    push_image(registry, repository, "118")
    with pytest.raises(NoEvidence):
        find_release(registry, repository, "118")
    with pytest.raises(UnknownTag):
        find_release(registry, repository, "119")


def test_evidence_about_another_image_does_not_count(registry: Registry, repository: Repository) -> None:
    """A real statement about one image, laid beside another, is no evidence for that other one."""
    tested, other = (push_image(registry, repository, n, labels={"n": n}) for n in ("1", "2"))
    stolen = Envelope(IN_TOTO, statement_for(report(tested), tested.digest, name="shop"))
    attach(registry, repository, other, [stolen])
    with pytest.raises(NoEvidence) as caught:
        find_release(registry, repository, "2")
    assert any("subject-is-this-image" in detail for detail in caught.value.details)


def test_statements_of_failure_and_nonsense_do_not_count(registry: Registry, repository: Repository) -> None:
    """A failed result is refused as such, with nonsense beside it named too; a later pass counts."""
    manifest = push_image(registry, repository, "1")
    failed = statement_for(report(manifest, exit_code=1), manifest.digest, name="shop")
    for payload in (failed, b"{", b"[" * 10000):
        attach(registry, repository, manifest, [Envelope(IN_TOTO, payload)])
    with pytest.raises(PolicyRefused, match="tests-passed") as caught:
        find_release(registry, repository, "1")
    assert sum("statement-readable" in detail for detail in caught.value.details) == 2
    promote(registry, repository, source="1", report=report(manifest), release_tag="118")
    assert find_release(registry, repository, "118").manifest == manifest.digest


def test_evidence_is_found_though_the_index_lost_it(registry: Registry, repository: Repository) -> None:
    """The statement's own tag is the truth: an index overwritten without the entry hides nothing, and the next writer
    keeps what others listed."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    stranger = push_image(registry, repository, "1", labels={"by": "a stranger"})
    entries = [stranger.descriptor()]
    lost = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    registry.put_manifest(repository, index_tag(manifest.digest), lost)
    assert find_release(registry, repository, "118").manifest == manifest.digest
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    listed = registry.resolve(repository, index_tag(manifest.digest)).list_of("manifests")
    assert [e["digest"] for e in listed][:1] == [str(stranger.digest)]
    assert len(listed) == 3


def test_evidence_is_found_though_only_the_index_lists_it(
    place: Place, registry: Registry, repository: Repository
) -> None:
    """What another program copied to another repository with the index, without relman's own tags, is found too."""
    manifest = push_image(registry, repository)
    envelope = Envelope(IN_TOTO, statement_for(report(manifest), manifest.digest, name="shop"))
    attach(registry, repository, manifest, [envelope])
    elsewhere = place.repository()
    push_image(registry, elsewhere)
    evidence = registry.resolve(repository, own_tag(manifest.digest, envelope))
    for blob in (envelope.content, b"{}"):
        registry.put_blob(elsewhere, blob)
    registry.put_manifest(elsewhere, evidence.digest, evidence)
    index = registry.resolve(repository, index_tag(manifest.digest))
    registry.put_manifest(elsewhere, index_tag(manifest.digest), index)
    assert [o.payload for o in find(registry, elsewhere, manifest.digest)] == [envelope.content]


def test_an_index_is_good_only_for_the_tested_platform(registry: Registry, repository: Repository) -> None:
    """Promoting an index by a report about its amd64 image makes it a release for amd64 alone, whose digest is that
    of the amd64 image."""
    children = {p: push_image(registry, repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)}
    index = push_index(registry, repository, "run-shop-1", children)
    promote(registry, repository, source="run-shop-1", report=report(children[AMD64]), release_tag="118")
    assert registry.resolve(repository, "118") == index
    assert find_release(registry, repository, "118", AMD64).manifest == children[AMD64].digest
    with pytest.raises(NoEvidence):
        find_release(registry, repository, "118", ARM64)


def test_an_index_is_listed_as_its_tested_platform(registry: Registry, repository: Repository) -> None:
    """Of an index of several platforms the image that may be deployed is the one on the list; of one without any tested
    image it is said why not."""
    children = {p: push_image(registry, repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)}
    push_index(registry, repository, "untested", children)
    push_index(registry, repository, "run-shop-1", dict(reversed(children.items())))
    promote(registry, repository, source="run-shop-1", report=report(children[AMD64]), release_tag="118")
    listed = {entry.tag: entry for entry in list_releases(registry, repository)}
    assert listed["118"].evidence
    assert listed["118"].release.manifest == children[AMD64].digest
    assert "release-statement" in listed["untested"].refusal


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [(DEPLOY_SECTION, "{", DEPLOY_SECTION), ("relman.file.a", "base64:!", "cannot be read: a is not in base64")],
)
def test_a_broken_deploy_section_is_refused(
    registry: Registry, repository: Repository, label: str, value: str, said: str
) -> None:
    """A frozen deploy section that cannot be read stops the promotion, and does not spoil the list of releases; and so
    does a file."""
    broken = push_image(registry, repository, "117", labels={label: value})
    with pytest.raises(PolicyRefused, match=said):
        promote(registry, repository, source="117", report=report(broken), release_tag="118")
    (listed,) = list_releases(registry, repository)
    assert listed.evidence is None


def test_releases_are_listed_with_their_evidence(registry: Registry, repository: Repository) -> None:
    """Tags of runs, evidence, channels and what is no image are left out; the rest says whether it may be deployed."""
    manifest = push_image(registry, repository, labels=LABELS)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", channels=["stable"])
    push_image(registry, repository, "by-hand", labels={"by": "hand"})
    with_no_image = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
    registry.put_manifest(repository, "chart", with_no_image)
    listed = {entry.tag: entry for entry in list_releases(registry, repository, channels=["stable"])}
    assert set(listed) == {"118", "by-hand"}
    evidence = listed["118"].evidence
    assert evidence is not None
    assert (evidence.run, evidence.passed) == ("shop/118", ("pytest -q 'a test'",))
    assert listed["by-hand"].evidence is None
    assert "evidence-present" in listed["by-hand"].refusal


def test_a_second_test_run_adds_a_statement(registry: Registry, repository: Repository) -> None:
    """Two runs that tested the same image leave two statements, both about it."""
    manifest = push_image(registry, repository)
    reports = [replace(report(manifest), finished=f"2026-01-0{day}T00:00:00Z") for day in (1, 2)]
    for tested in reports:
        promote(registry, repository, source="run-shop-1", report=tested, release_tag="118")
    statements = [read_statement(o.payload) for o in find(registry, repository, manifest.digest)]
    assert all(s.subjects == {manifest.digest} for s in statements)
    results = [read_test_result(s) for s in statements if s.predicate_type == TEST_RESULT]
    assert {r.finished for r in results} == {r.finished for r in reports}
    releases = [r for s in statements if (r := read_release(s))]
    assert {(r.repository, r.tag, r.passed) for r in releases} == {(str(repository), "118", True)}


def test_evidence_is_an_oci_referrer(registry: Registry, repository: Repository) -> None:
    """What is stored is a manifest with subject and artifactType by the specification, listed in the referrers tag."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118")
    entries = registry.resolve(repository, f"sha256-{manifest.digest.hex}").list_of("manifests")
    assert [entry["artifactType"] for entry in entries] == [IN_TOTO, IN_TOTO]
    types = []
    for entry in entries:
        evidence = registry.resolve(repository, ManifestDigest(entry["digest"]))
        assert evidence.document["subject"] == manifest.descriptor()
        assert evidence.document["artifactType"] == IN_TOTO
        (layer,) = evidence.list_of("layers")
        assert layer["mediaType"] == IN_TOTO
        types.append(json.loads(registry.blob(repository, Digest(layer["digest"])))["predicateType"])
    assert types == [TEST_RESULT, RELEASE]
