"""Releases in the order and under the names in which a person looks for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.releases.listing import is_channel, rows
from relman.evidence.listing import ListedRelease
from relman.evidence.test_result import TestResult
from relman.model.image import ConfigDigest, ManifestDigest, Platform
from relman.model.run import Release
from relman.model.service import ReleaseRules
from tests.unit.values import REPOSITORY, hexes

RULES = ReleaseRules()


def listed(tag: str, image: str, run: str | None = None) -> ListedRelease:
    """The tag of an image; with `run`, tested in that run."""
    config = ConfigDigest(f"sha256:{hexes('config' + image)}")
    manifest = ManifestDigest(f"sha256:{hexes(image)}")
    release = Release(REPOSITORY, tag, manifest, config, Platform("linux", "amd64"))
    evidence = TestResult("PASSED", config, ("pytest",), (), run=run) if run else None
    return ListedRelease(tag, release, evidence, "" if run else "nothing shows that it passed")


def names(found: list[ListedRelease], rules: ReleaseRules = RULES) -> list[tuple[str, ...]]:
    """The tags of each row."""
    return [row.tags for row in rows(found, rules, {})]


def test_a_release_is_named_by_its_own_tag() -> None:
    """The release comes first and its channels after it, in whatever order the registry lists them."""
    found = [listed("stable", "a", "shop/118"), listed("118", "a", "shop/118"), listed("117", "b", "shop/117")]
    for order in (found, [found[1], found[0], found[2]]):
        assert names(order) == [("118", "stable"), ("117",)]
    assert rows(found, RULES, {})[0].channels == ("stable",)


def test_an_unknown_channel_does_not_take_the_release_s_place() -> None:
    """Without the service's relman.yml, the run in the evidence tells which of an image's tags is its release."""
    found = [listed(tag, "a", "team/shop/118") for tag in ("0-edge", "118", "stable")]
    assert names(found) == [("118", "0-edge", "stable")]


@pytest.mark.parametrize(
    ("tag", "channel"),
    [("shop-master", True), ("118", False), ("stable", False), ("master", False), ("118-master", True)],
)
def test_channels_are_those_of_relman_yml(tag: str, channel: bool) -> None:
    """A field of a channel's template stands for anything; what is not named there is no channel."""
    evidence = listed("118", "a", "shop/118").evidence
    assert is_channel(tag, ReleaseRules("{build}", ("{job}-master",)), evidence) is channel


def test_a_template_of_nothing_but_a_field_takes_no_release() -> None:
    """Where a channel could be called anything, the run's own tag is still the release."""
    rules = ReleaseRules("{build}", ("{job}",))
    assert names([listed("118", "a", "shop/118"), listed("shop", "a", "shop/118")], rules) == [("118", "shop")]


def test_every_host_is_shown_where_it_runs() -> None:
    """A host stands on the line of the image that it runs, and on no other."""
    found = [listed("118", "a", "shop/118"), listed("117", "b", "shop/117")]
    running = {"h1": f"sha256:{hexes('b')}", "h2": f"sha256:{hexes('a')}", "h3": f"sha256:{hexes('gone')}"}
    assert [row.hosts for row in rows(found, RULES, running)] == [("h2",), ("h1",)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8), st.sampled_from(["{build}", "v{build}"]))
def test_nothing_is_lost_and_the_order_is_kept(images: list[tuple[str, bool]], template: str) -> None:
    """Each tag stands in exactly one row, together with the tags of the same image, newest image first."""
    found = [listed(str(n), image, f"shop/{n}" if tested else None) for n, (image, tested) in enumerate(images)]
    result = rows(found, ReleaseRules(template), {})
    assert sorted(tag for row in result for tag in row.tags) == sorted(entry.tag for entry in found)
    assert [row.listed.release.manifest for row in result] == list(
        dict.fromkeys(entry.release.manifest for entry in found)
    )
