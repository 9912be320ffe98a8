"""The order of tags: numbers by their value, and always the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.releases.listing import in_order
from relman.model.formats.tag_order import natural
from relman.model.service import ReleaseRules

TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)
NUMBERS = st.integers(0, 10**30)
ZEROS = st.integers(0, 3).map("0".__mul__)
RULES = ReleaseRules()


@given(st.lists(TAGS, min_size=3, max_size=3))
def test_the_order_is_total(three: list[str]) -> None:
    """Of two tags exactly one is the higher, unless they are the same one; and no three go in a circle."""
    a, b, c = map(natural, three)
    assert (a < b) + (b < a) + (three[0] == three[1]) == 1
    assert not (a < b < c) or a < c


@given(st.from_regex(r"([A-Za-z._-]?|.*[A-Za-z._-])", fullmatch=True), NUMBERS, NUMBERS, ZEROS, TAGS, TAGS)
def test_numbers_count_by_their_value(before: str, one: int, other: int, zeros: str, rest: str, more: str) -> None:
    """Wherever a number stands, after the same text the larger one is higher, whatever follows and precedes it in
    zeros."""
    low, high = sorted((one, other))
    if low < high:
        assert natural(f"{before}{zeros}{low}.{rest}") < natural(f"{before}{high}.{more}")
        assert natural(f"{before}{low}") < natural(f"{before}{zeros}{high}")


@given(st.sets(TAGS), st.randoms())
def test_the_order_does_not_depend_on_the_registry(tags: set[str], random: object) -> None:
    """However a registry lists them, the tags come in one order, and none is lost."""
    shuffled = sorted(tags, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert in_order(shuffled, RULES) == in_order(sorted(tags), RULES)
    assert {*in_order(shuffled, RULES)} == tags


@pytest.mark.parametrize(
    "ordered",
    [
        ["1.10", "1.9.1", "1.9", "1.0"],
        ["118", "9", "1"],
        ["v2.0.0", "v1.10.0", "v1.2.0"],
        ["1.9-12-gabc", "1.9-3-gdef", "1.9"],
        ["2026.10.1", "2026.9.30"],
        ["release-10", "release-9", "hotfix-2"],
    ],
)
def test_the_highest_tag_comes_first(ordered: list[str]) -> None:
    """Build numbers, versions, dates and what `git describe` says; channels come last."""
    assert in_order(["stable", *reversed(ordered)], RULES) == [*ordered, "stable"]


def test_by_date_the_newest_comes_first() -> None:
    """Of those that are images; of equally old ones the higher tag."""
    built = {"9": "2026-01-02T00:00:00Z", "10": "2026-01-02T00:00:00Z", "11": "2026-01-01T00:00:00Z"}
    assert in_order(["11", "9", "chart", "10"], RULES, built) == ["10", "9", "11"]
