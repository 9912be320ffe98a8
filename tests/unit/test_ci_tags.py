"""Which tags a run is released under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.run.release_tags import Tags, tags_for
from relman.model.errors import UsageError
from relman.model.image import check_tag
from relman.model.run import Commit, RunName
from relman.model.service import ReleaseRules

COMMIT = Commit("0123456789abcdef" * 2 + "01234567")
RUN = RunName("team/shop", "118")


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{build}", "118"),
        ("{job}-master", "team-shop-master"),
        ("{commit}", "0123456789ab"),
        ("v{version}_{build}", "v1.2-rc1_118"),
        ("stable", "stable"),
    ],
)
def test_templates_are_filled_with_the_run_s_values(template: str, tag: str) -> None:
    """Each field stands for the run's value, with - for what no tag can hold, in releases and in channels."""
    assert tags_for(ReleaseRules(template, ()), RUN, COMMIT, "1.2+rc1") == Tags(tag, ())
    assert tags_for(ReleaseRules("x", (template,)), RUN, COMMIT, "1.2+rc1") == Tags("x", (tag,))


def test_a_dirty_checkout_is_not_released_as_its_commit() -> None:
    """A tag that names the commit says when the image holds more than that."""
    dirty = Commit(COMMIT.revision, dirty=True)
    assert tags_for(ReleaseRules("{commit}", ()), RUN, dirty, "").release == "0123456789ab-dirty"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (ReleaseRules("{commit}", ()), "release.tag is {commit}, and this run has no commit"),
        (ReleaseRules("1", ("{version}",)), "release.channels is {version}, and this run has no version"),
        (ReleaseRules("{build}", ("{build}",)), "would both be 118"),
        (ReleaseRules("{build}" + "x" * 127, ()), "is not a tag"),
    ],
)
def test_what_cannot_be_is_said_with_its_key(rules: ReleaseRules, said: str) -> None:
    """A missing value, a release that would move and an impossible tag name what to change in relman.yml."""
    with pytest.raises(UsageError) as error:
        tags_for(rules, RUN, Commit(dirty=True), "")
    assert said in error.value.what


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.sampled_from(["{build}", "{job}-{build}", "{version}"]))
def test_any_name_becomes_a_tag_or_an_error(job: str, build: str, version: str, template: str) -> None:
    """Whatever a CI system calls a run, what comes out are tags by the specification, all different, or an error of
    usage."""
    try:
        tags = tags_for(ReleaseRules(template, ("{job}",)), RunName(job, build), Commit(), version)
    except UsageError:
        return
    assert tags.release == check_tag(tags.release)
    assert all(check_tag(channel) != tags.release for channel in tags.channels)
