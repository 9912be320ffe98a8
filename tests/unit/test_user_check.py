"""What users see while hosts change: counted over reloads, said in the recap, and the judge of a canary."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.documents.plan import report_document
from relman.config.service import parse_service
from relman.model.errors import CheckFailed, ConfigError
from relman.model.proxy import BOUNDS, Traffic, Users
from relman.model.strategy import Check, ProxyCheck, Strategy, StrategyKind
from relman.rollout.proxy.user_check import faults
from tests.unit.model_fleet import World, serving
from tests.unit.values import PROXIED

HEAD = "service: shop\nregistry: registry.example.com\n"
CHECK = ProxyCheck(errors_below=0.01, p99_below=0.5)
TIMES = st.lists(st.integers(0, 10**6), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1).map(tuple)


def traffic(requests: int, failed: int = 0, *, within: int = 10) -> Traffic:
    """So many requests, all answered within a bound in milliseconds."""
    return Traffic(requests, failed, tuple(requests if bound == within else 0 for bound in (*BOUNDS, 0)))


@given(TIMES)
def test_the_percentile_is_a_bound_that_99_of_100_answers_keep(times: tuple[int, ...]) -> None:
    """And that no smaller bound is."""
    found, whole = Traffic(sum(times), 0, times).p99, sum(times)
    if not whole:
        assert found is None
        return
    assert found is not None
    bounds = [bound / 1000 for bound in (*BOUNDS, math.inf)]
    at = bounds.index(found)
    assert sum(times[: at + 1]) >= 0.99 * whole
    assert not at or sum(times[:at]) < 0.99 * whole


def test_counts_are_said_in_words() -> None:
    """As many as there were, and a percentile only where there were answers."""
    assert traffic(12408, within=50).text == "12,408 requests, 0 failed, p99 under 50 ms"
    assert traffic(1, 1, within=0).text == "1 request, 1 failed, p99 over 30 s"
    assert Traffic(3, 2).text == "3 requests, 2 failed"
    assert Traffic().text == "no requests"


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (Users(traffic(1000, 9)), ""),
        (Users(traffic(1000, 10)), "10 of 1,000 requests failed, errors_below is 1%"),
        (Users(traffic(1000, within=500)), ""),
        (Users(traffic(1000, within=750)), "p99_below is 500 ms"),
        (Users(traffic(99)), "too few to judge by, minimum_requests is 100"),
        (Users(Traffic()), "no requests: too few"),
        (Users(traffic(1000), ("h1",)), "not counted on h1"),
        (Users(Traffic(1000)), "1,000 requests, 0 failed: p99_below is 500 ms"),
    ],
)
def test_what_is_not_known_to_be_good_fails(seen: Users, wrong: str) -> None:
    """Failures, slow answers, too few requests, and counts that are not whole."""
    found = list(faults(CHECK, seen))
    assert bool(found) == bool(wrong)
    assert wrong in "".join(found)


def canary(world: World, *, minimum: int = 1) -> Any:
    """Deploy 2 to one host first, whose users are asked."""
    check = Check(proxy=replace(CHECK, minimum_requests=minimum), timeout=0.1)
    strategy = Strategy(StrategyKind.CANARY, hosts=("h1",), bake=0.01, check=check)
    return world.deploy("2", replace(PROXIED, strategy=strategy))


def users(world: World, requests: int, failed: int) -> None:
    """Whenever the proxies are asked, so many more requests were made."""
    for host in world.hosts:
        assert host.proxy
        host.proxy.users = (requests, failed)


def test_a_canary_whose_users_see_errors_goes_back() -> None:
    """It is healthy, and its check has failed; no other host was changed, and the recap has what users saw."""
    world = serving(2, PROXIED, "1")
    users(world, 100, 50)
    report = canary(world)
    assert isinstance(report.error, CheckFailed)
    assert "errors_below is 1%" in "".join(report.error.details)
    assert world.versions == ["1", "1"]
    assert report.users
    assert report.users.traffic.failed
    assert not report.users.uncounted
    assert report_document(report)["users"]["p99_below"] == BOUNDS[3] / 1000


def test_a_canary_whose_users_are_well_is_followed_by_the_others() -> None:
    """Of them both hosts' are counted."""
    world = serving(2, PROXIED, "1")
    users(world, 100, 0)
    report = canary(world)
    assert report.error is None
    assert world.versions == ["2", "2"]
    assert report.users
    assert (report.users.traffic.failed, report.users.uncounted) == (0, ())


def test_too_few_users_are_said_to_be_too_few() -> None:
    """It is not known that all is well, and so it goes back."""
    world = serving(1, PROXIED, "1")
    users(world, 3, 0)
    report = canary(world, minimum=1000)
    assert isinstance(report.error, CheckFailed)
    assert "too few" in "".join(report.error.details)


def test_a_proxy_that_does_not_tell_stops_nothing() -> None:
    """A deployment without this check goes on, and says of which host nothing was counted."""
    world = serving(1, PROXIED, "1")
    host = world.hosts[0]
    assert host.proxy
    host.proxy.tells = False
    report = world.deploy("2")
    assert report.error is None
    assert report.users == Users(Traffic(), ("h1",))


CANARY = """deploy:
  strategy:
    canary:
      bake: {bake}
      check:
        proxy: {{{check}}}
"""
BEHIND = "  proxy: {port: 8080}\n"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (CANARY.format(bake="5s", check="errors_below: 1%"), "8:16", "needs deploy.proxy"),
        (CANARY.format(bake="0s", check="errors_below: 1%") + BEHIND, "6:13", "more than 0"),
        (CANARY.format(bake="5s", check="errors_below: 1") + BEHIND, "8:31", "a percentage"),
        (CANARY.format(bake="5s", check='errors_below: "1% }\\n"') + BEHIND, "8:31", "a percentage"),
        (CANARY.format(bake="5s", check="p99_below: 400ms") + BEHIND, "8:28", "300ms, 500ms"),
        (CANARY.format(bake="5s", check="minimum_requests: 5") + BEHIND, "8:16", "errors_below, p99_below"),
        (
            CANARY.format(bake="5s", check="p99_below: 1s") + "  proxy: {port: 80, protocol: tcp}\n",
            "8:28",
            "tcp has connections",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_where_it_stands(text: str, place: str, said: str) -> None:
    """With file, line and column."""
    with pytest.raises(ConfigError) as caught:
        parse_service((HEAD + text).encode(), "relman.yml")
    (problem,) = caught.value.problems
    assert (f"{problem.line}:{problem.column}", said in problem.message) == (place, True), problem
