"""What the state of a fleet comes to: the exit code of `relman status`, and what it says to type next."""

from __future__ import annotations

import shlex
from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.cli.exits import exit_of
from relman.cli.main import relman
from relman.rollout.looking.advice import CommandScope
from relman.rollout.looking.condition import DARK, UNREACHED, Condition
from relman.rollout.looking.status import HostStatus
from relman.rollout.looking.verdict import findings, verdict, within

HOSTS = ("h1", "h2", "h3")
PLACE = CommandScope("production", frozenset({"shop"}), frozenset(HOSTS))
WELL = HostStatus(
    "h1",
    "shop",
    serving=True,
    release="2",
    manifest="sha256:2",
    health="healthy",
    rollback="1",
    deployed_at="2026-01-02T00:00:00Z",
    recorded_release="2",
    recorded_manifest="sha256:2",
    containers=("shop-production-d2",),
    proven=True,
)
NOTHING = HostStatus("h1", "shop", state=Condition.ABSENT)


def fleet(*rows: HostStatus) -> list[HostStatus]:
    """These rows on h1, h2 and h3."""
    return [replace(row, host=host) for host, row in zip(HOSTS, rows, strict=True)]


def bad(state: Condition, **known: object) -> HostStatus:
    """A host of release 2 in this state."""
    return replace(WELL, state=state, why="why", **known)  # type: ignore[arg-type]


def said(rows: list[HostStatus], place: CommandScope = PLACE) -> tuple[int, str]:
    """The exit code, and the way out that is shown with it."""
    found = verdict(findings(rows, place))
    return (int(exit_of(found.kind)), found.way_out) if found else (0, "")


OLDER = replace(WELL, release="1", recorded_release="1", manifest="sha256:1", deployed_at="2026-01-01T00:00:00Z")
AWAY = HostStatus("h1", "", unreachable=True, state=Condition.UNKNOWN, why="no answer", hint="is the host up?")
P = "-e production"
UNASKED = "correct that, or build the next release with health: {image: true} or health: {command: [...]}"


@pytest.mark.parametrize(
    ("rows", "code", "way_out"),
    [
        ([WELL, WELL, WELL], 0, ""),
        ([WELL, bad(Condition.UNDER_WAY, under_way=True), OLDER], 0, ""),
        ([NOTHING, NOTHING, NOTHING], 10, f"relman deploy TAG {P} (relman releases {P} lists them)"),
        ([WELL, WELL, NOTHING], 10, f"relman deploy 2 {P} --only h3"),
        ([WELL, bad(Condition.GONE), WELL], 10, f"relman deploy 2 {P} --only h2"),
        ([bad(Condition.GONE), bad(Condition.GONE), bad(Condition.GONE)], 10, f"relman deploy 2 {P}"),
        ([WELL, bad(Condition.STOPPED), WELL], 10, "on h2: docker start shop-production-d2"),
        (
            [WELL, bad(Condition.STOPPED, port_holder="thief"), bad(Condition.STOPPED)],
            10,
            "on h3: docker start shop-production-d2; on h2: docker stop thief && docker start shop-production-d2",
        ),
        ([WELL, bad(Condition.ENDED), WELL], 10, "on h2: docker start shop-production-d2"),
        ([bad(Condition.CRASHING), bad(Condition.CRASHING), bad(Condition.CRASHING)], 10, f"relman rollback {P}"),
        ([WELL, bad(Condition.UNPROXIED), WELL], 10, f"relman proxy apply {P} --only h2"),
        ([WELL, bad(Condition.UNROUTED), bad(Condition.UNROUTED)], 10, f"relman restart {P} --only h2 --only h3"),
        ([WELL, bad(Condition.STOPPED, interrupted=True), WELL], 10, f"relman recover {P}"),
        ([WELL, bad(Condition.DRIFTED, interrupted=True), WELL], 7, f"relman recover {P}"),
        ([WELL, OLDER, AWAY], 6, f"relman deploy 2 {P} --exclude h3 --reason 'no answer'"),
        ([replace(WELL, proven=False), OLDER, OLDER], 6, f"relman rollback {P}"),
        ([WELL, bad(Condition.DRIFTED, release="by-hand"), AWAY], 8, f"relman deploy 2 {P} --only h2"),
        ([WELL, bad(Condition.DOUBLED), bad(Condition.UNHEALTHY)], 8, f"relman deploy 2 {P} --only h2"),
        ([bad(Condition.UNHEALTHY), AWAY, WELL], 11, "is the host up?"),
        ([WELL, bad(Condition.UNASKED), WELL], 11, UNASKED),
        ([bad(Condition.UNASKED), bad(Condition.PAUSED), WELL], 11, UNASKED),
        ([WELL, bad(Condition.UNHEALTHY), WELL], 12, "on h2: docker restart shop-production-d2"),
        ([bad(Condition.UNHEALTHY), bad(Condition.UNHEALTHY), bad(Condition.UNHEALTHY)], 12, f"relman rollback {P}"),
        ([bad(Condition.PAUSED), bad(Condition.PAUSED), WELL], 12, "on h1, h2: docker unpause shop-production-d2"),
    ],
)
def test_the_first_that_applies_decides_and_the_advice_follows_the_state(
    rows: list[HostStatus], code: int, way_out: str
) -> None:
    """10, 7, 6, 8, 11, 12, 0, in this order; each state has a command of its own, about its own hosts."""
    silent = tuple(h for h, r in zip(HOSTS, rows, strict=True) if r.unreachable)
    assert said(fleet(*rows), replace(PLACE, silent=silent)) == (code, way_out)


def test_a_sick_release_without_a_way_back_asks_for_a_better_one() -> None:
    """Where nothing proven good came before, no rollback is spoken of."""
    sick = replace(bad(Condition.UNHEALTHY), rollback="")
    _, way_out = said(fleet(sick, sick, sick))
    assert "rollback" not in way_out
    assert way_out.endswith(f"relman deploy TAG {P}")


def test_what_a_command_needs_is_in_it() -> None:
    """The service where there are several, the inventory that was given, and the gates that a person left out."""
    place = CommandScope("production", frozenset({"shop", "till"}), frozenset(HOSTS), inventories=("my inventory",))
    skip = "tests-passed skipped by ada@box at 2026-01-01T00:00:00Z: the shop is down"
    gone = bad(Condition.GONE, skipped=(skip,))
    _, way_out = said(fleet(WELL, gone, WELL), place)
    assert way_out == (
        "relman deploy 2 -e production -i 'my inventory' --service shop --only h2 "
        "--unsafe-skip-gate tests-passed --reason 'the shop is down'"
    )


def test_each_service_is_judged_by_itself() -> None:
    """Two services of one environment are no mixed fleet, and what is wrong names its service."""
    place = replace(PLACE, services=frozenset({"shop", "till"}))
    rows = [*fleet(WELL, WELL, WELL), *(replace(r, service="till", recorded_release="9") for r in fleet(*[WELL] * 3))]
    assert findings(rows, place) == []
    found = findings([*rows[:5], replace(rows[5], state=Condition.PAUSED, why="p")], place)
    assert [f.what for f in found] == ["till: till is paused on h3: p"]


rows_of_any_kind = st.lists(
    st.builds(
        lambda state, interrupted, release, proven, rollback: replace(
            WELL if state is not Condition.ABSENT else NOTHING,
            state=state,
            why=str(state),
            interrupted=interrupted and state is not Condition.UNKNOWN,
            recorded_release="" if state in (Condition.ABSENT, Condition.UNKNOWN) else release,
            unreachable=state is Condition.UNKNOWN,
            hint="is the host up?",
            proven=proven,
            rollback=rollback,
        ),
        st.sampled_from(Condition),
        st.booleans(),
        st.sampled_from(["1", "2"]),
        st.booleans(),
        st.sampled_from(["", "1"]),
    ),
    min_size=3,
    max_size=3,
)


@given(rows_of_any_kind)
def test_every_command_that_is_advised_is_one_that_relman_has(rows: list[HostStatus]) -> None:
    """Whatever is wrong: each finding has a way out, it never is `status` again, and its command line is understood."""
    silent = tuple(h for h, r in zip(HOSTS, rows, strict=True) if r.unreachable)
    for finding in findings(fleet(*rows), replace(PLACE, silent=silent)):
        assert finding.way_out
        assert "relman status" not in finding.way_out
        for command in finding.way_out.replace(" (", "; ").split("; "):
            words = shlex.split(command.partition(" shows")[0].partition(" lists")[0])
            if words[0] == "relman":
                _parses(words[1:])


def _parses(words: list[str]) -> None:
    verb = relman.get_command(click.Context(relman), words[0])
    assert verb
    verb.make_context(words[0], words[1:])


@given(rows_of_any_kind)
def test_the_gravest_decides(rows: list[HostStatus]) -> None:
    """The exit code is 10 exactly where a host is known to serve nothing; 0 only where nothing is wrong."""
    code, _ = said(fleet(*rows))
    assert (code == 10) is any(r.state in (*DARK, *UNREACHED) for r in rows)
    if code == 0:
        assert {r.state for r in rows} <= {Condition.WELL, Condition.UNDER_WAY}
        assert not any(r.interrupted for r in rows)


@pytest.mark.parametrize(
    ("most", "count", "forgiven"),
    [("1", 1, True), ("1", 2, False), ("33%", 1, False), ("34%", 1, True), ("100%", 3, True), ("2", 2, True)],
)
def test_as_many_hosts_may_be_unwell_as_a_person_says(most: str, count: int, forgiven: bool) -> None:
    """A count or a share of the hosts; what is forgiven is still found, and nothing graver is."""
    rows = fleet(*[bad(Condition.UNHEALTHY)] * count, *[WELL] * (3 - count))
    assert within(rows, most) is forgiven
    found = findings(rows, PLACE)
    assert (verdict(found, forgiven=within(rows, most)) is None) is forgiven
    dark = fleet(bad(Condition.STOPPED), *rows[1:])
    graver = verdict(findings(dark, PLACE), forgiven=True)
    assert graver
    assert exit_of(graver.kind) == 10
