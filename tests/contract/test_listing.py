"""What a list of releases shows, and what it costs in requests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relman.app.releases.selection import Selection, Wish, select
from relman.evidence import store
from relman.evidence.assessment import Subject
from relman.evidence.attest import statement_for
from relman.evidence.dsse import IN_TOTO
from relman.evidence.envelopes import Envelope
from relman.evidence.gates.verdict import passes
from relman.evidence.listing import Listing
from relman.evidence.promote import promote
from relman.evidence.verification_summary import release_statement
from relman.model.image import Repository
from relman.model.policy import NO_POLICY
from relman.model.run import RunName
from relman.model.service import ReleaseRules
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from tests.contract.content import Store, digest_of
from tests.contract.images import push_image
from tests.contract.registry_fixture import place_of
from tests.contract.simulator import Simulator
from tests.unit.reports import report

RULES = ReleaseRules()
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def selected(
    registry: Registry,
    repository: Repository,
    limit: int,
    *,
    by_date: bool = False,
    running: dict[str, str] | None = None,
) -> Selection:
    """The first releases, and those that run, by release."""
    on = {release: registry.resolve(repository, release).digest for release in running or {}}
    manifests = {host: str(on[release]) for release, host in (running or {}).items()}
    releases = {host: release for release, host in (running or {}).items()}
    return select(Listing(registry, repository), RULES, Wish(limit, by_date, manifests, releases))


def shown(found: Selection) -> list[tuple[str, ...]]:
    """The tags of each line."""
    return [row.tags for row in found.rows]


def released(registry: Registry, repository: Repository, tag: str, channels: tuple[str, ...] = ()) -> Manifest:
    """A release of its own image."""
    manifest = push_image(registry, repository, f"run-shop-{tag}", labels={"n": tag})
    made = replace(report(manifest), run=RunName("shop", tag, "shop"))
    promote(registry, repository, source=manifest.digest, report=made, release_tag=tag, channels=channels)
    return manifest


def test_the_highest_releases_come_first_with_their_channels(registry: Registry, repository: Repository) -> None:
    """Numbers count by their value; a channel is on its release's line, however far down that stands, and last where
    its image has no other tag; what is no image takes no line; what runs is shown in any case."""
    for tag in ("9", "10", "100"):
        released(registry, repository, tag, ("stable", "edge"))
    registry.put_manifest(repository, "stable", registry.resolve(repository, "10"))
    nothing = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
    registry.put_manifest(repository, "99", nothing)
    assert shown(selected(registry, repository, 20)) == [("100", "edge"), ("10", "stable"), ("9",)]
    first = selected(registry, repository, 1)
    assert (shown(first), first.rows[0].listed.evidence is not None) == ([("100", "edge")], True)
    assert first.total >= len(selected(registry, repository, 20).rows)
    assert shown(selected(registry, repository, 1, running={"9": "h1"})) == [("100", "edge"), ("9",)]
    alone = push_image(registry, repository, "run-alone", labels={"n": "alone"})
    registry.put_manifest(repository, "stable", alone)
    last = selected(registry, repository, 20)
    assert shown(last) == [("100", "edge"), ("10",), ("9",), ("stable",)]
    assert "evidence-present" in last.rows[-1].listed.refusal


def test_an_unknown_channel_is_on_the_line_of_its_release(registry: Registry, repository: Repository) -> None:
    """Where no relman.yml says that it is one, the image's evidence names its release, also beyond the limit."""
    released(registry, repository, "7", ("edge",))
    released(registry, repository, "8")
    assert shown(selected(registry, repository, 1)) == [("7", "edge")]
    assert shown(selected(registry, repository, 2)) == [("8",), ("7", "edge")]


def test_another_tag_that_may_not_be_deployed_is_said(registry: Registry, repository: Repository) -> None:
    """A channel that somebody moved to an image that was never promoted for it is on that image's line, and refused."""
    released(registry, repository, "8", ("stable",))
    nine = released(registry, repository, "9")
    registry.put_manifest(repository, "stable", nine)
    found = selected(registry, repository, 20)
    assert shown(found) == [("9", "stable"), ("8",)]
    assert "release-statement" in found.refused["stable"]


def fill(kept: Store, repository: Repository, count: int) -> None:
    """So many releases with all that promotions leave, put straight into a registry; the lower the tag, the newer."""
    for number in range(1, count + 1):
        built = (FIRST + timedelta(minutes=count - number)).isoformat()
        config = json.dumps({"created": built, "os": "linux", "architecture": "amd64", "config": {}}).encode()
        kept.blobs[digest_of(config)] = config
        named = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        }
        image = Manifest.of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named, "layers": []})
        subject = Subject(repository, image.digest, image.digest, image.config, str(number))
        tested = statement_for(report(image), image.digest, name=str(repository))
        summary = release_statement(
            subject, NO_POLICY, [passes("tests-passed", "")], channels=["stable"], inputs=[], now=FIRST
        )
        put(kept, image, str(number), f"run-shop-{number}", "stable")
        beside = []
        for payload in (tested, summary):
            envelope = Envelope(IN_TOTO, payload)
            kept.blobs[digest_of(payload)] = payload
            beside.append(store.evidence_manifest(image, envelope, {}))
            put(kept, beside[-1], store.own_tag(image.digest, envelope))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [m.descriptor() for m in beside]}
        put(kept, Manifest.of(index), store.index_tag(image.digest))


def put(kept: Store, manifest: Manifest, *tags: str) -> None:
    """A manifest, straight into the registry."""
    kept.manifests[str(manifest.digest)] = (manifest.media_type, manifest.content)
    kept.tags.update(dict.fromkeys(tags, str(manifest.digest)))


@pytest.mark.parametrize("native", [False, True])
def test_a_list_costs_requests_for_what_it_shows(native: bool) -> None:
    """Twenty of 1,400 releases cost the pages of the list of tags, and five requests a line; nothing is asked
    twice. By date each image's age is read, and evidence for the lines alone."""
    with Simulator(native=native).running() as simulator:
        place = place_of(simulator)
        repository = place.repository()
        fill(simulator.stores.setdefault(repository.name, Store()), repository, 1400)
        with place.connect() as registry:
            registry.tags(repository)
            simulator.queries.clear()
            found = selected(registry, repository, 20)
            assert [row.tag for row in found.rows] == [str(n) for n in range(1400, 1380, -1)]
            assert found.rows[0].others == ("stable",)
            assert all(row.listed.evidence for row in found.rows)
            assert found.total == 1400
            assert len(simulator.log) == len({*map(repr, simulator.queries)}) <= 110
            simulator.queries.clear()
            newest = selected(registry, repository, 20, by_date=True)
            assert [row.tag for row in newest.rows] == [str(n) for n in range(1, 21)]
            assert newest.total == 1400
            assert len(simulator.log) <= 2900
