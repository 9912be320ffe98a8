"""A host whose root is not to be trusted, h1: whatever its record and its lock say, it decides about itself alone."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from relman.model.container import DEPLOYMENT, Container, EngineFacts
from relman.model.errors import PreflightFailed, TagMoved
from relman.model.image import ManifestDigest, Repository
from relman.model.plan import Leftover, Observed, Plan, Step
from relman.model.settings import DeploySettings, Mount, OnFailure
from relman.model.state_dir.lock import FoundLock, Intent, Lock, Phase
from relman.model.state_dir.record import Absence, Deployed, HostRecord
from relman.model.strategy import Check, Hook, Strategy, StrategyKind, Task
from relman.rollout.looking.status import HostStatus, with_absences
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import Asked, plan_deploy, plan_rollback
from relman.rollout.planning.recovery_decision import decide, interruptions
from tests.unit.model_fleet import release
from tests.unit.model_host import AMD64
from tests.unit.values import REPOSITORY, deployed

ASKED = Asked("new", "2026-02-01T00:00:00Z", "a@b", "shop", "production")
FACTS = EngineFacts("20.10", AMD64, False, 0.0)
ELSEWHERE = Repository("evil.example:5000", "shop")

ways = st.builds(
    DeploySettings,
    env=st.dictionaries(st.sampled_from("AB"), st.sampled_from("12"), max_size=1),
    volumes=st.sampled_from([(), (Mount("/", "/host"),)]),
    max_unavailable=st.sampled_from(["1", "2", "100%"]),
    on_failure=st.sampled_from(OnFailure),
    keep=st.integers(0, 9),
    max_failures=st.integers(0, 3),
    strategy=st.builds(
        Strategy, st.sampled_from(StrategyKind), check=st.sampled_from([None, Check(command=("touch", "/evil"))])
    ),
    tasks=st.sampled_from([(), (Task("evil", ("rm",)),)]),
    hooks=st.sampled_from([(), (Hook(("touch", "/evil")),)]),
)
entries = st.builds(
    lambda id, tag, proven, way, at, where, other: replace(
        deployed(id, release=tag, proven=proven, settings=way),
        at=at,
        repository=where,
        manifest=ManifestDigest.of(b"other") if other else deployed(id, release=tag).manifest,
    ),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.sampled_from(["1", "2", "3", "evil"]),
    st.booleans(),
    ways,
    st.sampled_from(["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"]),
    st.sampled_from([REPOSITORY, ELSEWHERE]),
    st.booleans(),
)


@st.composite
def lies(draw: st.DrawFn) -> HostRecord:
    """Any record that could be read."""
    own: tuple[Deployed, ...] = tuple(draw(st.lists(entries, max_size=5, unique_by=lambda e: e.id)))
    return HostRecord("shop", "production", own, draw(st.sampled_from([None, *(e.id for e in own)])))


def remembers(host: str, record: HostRecord) -> Observed:
    """A host that runs what its record says."""
    entry = record.serving
    labels = {DEPLOYMENT: entry.id} if entry else {}
    running = [Container(entry.container, "c", entry.image_id, "running", labels=labels)] if entry else []
    return Observed(host, FACTS, record, containers=tuple(running))


HONEST = (
    HostRecord(
        "shop", "production", (deployed("a", release="1"), deployed("b", release="2"), deployed("c", release="3")), "c"
    ),
    HostRecord("shop", "production", (deployed("a", release="1"), deployed("b", release="2")), "b"),
    HostRecord("shop", "production", (deployed("a", release="1"),), "a"),
)


def _others(plan: Plan) -> dict[str, Step]:
    """Their steps, without the hosts that these name, which are those of the inventory."""
    return {s.host: replace(s, entry=replace(s.entry, hosts=())) for s in plan.steps if s.host != "h1"}


def _planned(fleet: list[Observed], to: str | None) -> tuple[Plan | None, str]:
    """The plan of a rollback, or all that its refusal says."""
    try:
        return plan_rollback(ASKED, fleet, to), ""
    except PreflightFailed as error:
        return None, "\n".join([str(error), *error.details])


@effort(max_examples=100, deadline=None)
@given(lies(), st.sampled_from(HONEST), st.sampled_from([None, "1", "2", "3"]))
def test_a_rollback_of_the_others_is_theirs_or_is_refused_by_the_host_s_name(
    lie: HostRecord, own: HostRecord, to: str | None
) -> None:
    """Each other host goes to its own entry, to which it would go without the liar, or stays; in waves of one, all back
    at a failure. Or nothing happens, and the liar is named with what it says."""
    others = [remembers(h, own) for h in ("h2", "h3")]
    honest, _ = _planned(others, to)
    plan, refusal = _planned([remembers("h1", lie), *others], to)
    if plan is None:
        assert honest is None or "h1" in refusal
        return
    wanted = _others(honest) if honest else {}
    assert all(step == wanted.get(host) for host, step in _others(plan).items())
    assert all(len(w.steps) == 1 and not (w.checks or w.pause or w.canary) for w in plan.waves)
    assert (plan.on_failure, plan.max_failures, plan.keep) == (OnFailure.ROLLBACK, 0, 5)
    assert (plan.tasks, plan.hooks) == ((), ())


@effort(max_examples=80, deadline=None)
@given(lies(), ways, st.sampled_from(HONEST))
def test_a_deployment_goes_as_the_release_says(lie: HostRecord, way: DeploySettings, own: HostRecord) -> None:
    """Steps of the others, tasks, hooks, checks and what a failure does: nothing of it comes from a host's record. It
    may only stop the deployment, by its name."""
    fleet = [remembers("h1", lie), *(remembers(h, own) for h in ("h2", "h3"))]
    wanted = release("2")
    plan = plan_deploy(ASKED, wanted, dict.fromkeys(("h1", "h2", "h3"), way), fleet)
    alone = plan_deploy(ASKED, wanted, dict.fromkeys(("h2", "h3"), way), fleet[1:])
    assert _others(plan) == _others(alone)
    assert (plan.on_failure, plan.max_failures, plan.keep) == (way.on_failure, way.max_failures, way.keep)
    assert (plan.hooks, {r.task for r in plan.tasks} <= set(way.tasks)) == (way.hooks, True)
    assert {c for w in plan.waves for c in w.checks} <= {way.strategy.check}
    moved = [
        e for e in lie.entries if e.release == "2" and e.manifest != wanted.manifest and e.repository == REPOSITORY
    ]
    with pytest.raises(TagMoved, match="h1") if moved else contextlib.nullcontext():
        preflight.check_moved(wanted, fleet)


def _lock(intent: Intent | None, phase: Phase) -> FoundLock:
    held = Lock("m@x", "elsewhere", 1, "t", "c", "deploying shop 3", 0.0, phase, intent)
    return FoundLock(held, 100.0)


NEW = deployed("c", release="3", proven=False)
INTENT = Intent(deployed("b", release="2").container, "always", "shop-production-c", NEW, stop_first=True)
intents = st.none() | st.builds(
    Intent,
    st.none() | st.just("x" * 64),
    st.just("always"),
    st.sampled_from(["shop-production-c", "other"]),
    entries,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@st.composite
def interrupted(draw: st.DrawFn, host: str) -> Observed:
    """A host that tells the truth about where it was in the middle of the deployment of 3, if it was."""
    old, new = deployed("b", release="2"), NEW
    before = HostRecord("shop", "production", (old,), "b")
    done = before.deployed(replace(new, proven=True))
    record = draw(st.sampled_from([before, done]))
    runs = draw(st.sampled_from(["old", "new", "both", "nothing"]))
    containers = {
        "old": Container(old.container, "shop-production-b", old.image_id, "running"),
        "new": Container(new.container, "shop-production-c", new.image_id, "running"),
    }
    shown = tuple(c for name, c in containers.items() if runs in (name, "both"))
    phase = draw(st.sampled_from([Phase.CHANGING, Phase.RETURNING, Phase.HELD, None]))
    lock = _lock(None if phase is Phase.HELD else INTENT, phase) if phase else None
    return Observed(host, FACTS, record, lock, shown)


@effort(max_examples=120, deadline=None)
@given(lies(), intents, st.sampled_from([Phase.CHANGING, Phase.RETURNING]), interrupted("h2"), interrupted("h3"))
def test_nothing_is_finished_on_a_host_but_by_its_own_record_or_container(
    lie: HostRecord, intent: Intent | None, phase: Phase, h2: Observed, h3: Observed
) -> None:
    """Whatever the liar says is done, another host finishes only what it shows itself; and where the liar alone keeps
    the others from finishing, it is named."""
    liar = Observed("h1", FACTS, lie, _lock(intent, phase) if intent else None)
    fleet = (liar, h2, h3)
    found = interruptions(fleet)
    recovery = decide(found, fleet, None)
    finishing = {i.host for i in found if i.intent and (recovery.finish or i.host in recovery.recorded)}
    for seen, each in ((s, i) for s in fleet for i in found if i.host == s.host in finishing):
        assert each.intent
        recorded = seen.record.current == each.intent.entry.id
        assert recorded or each.leftover in (Leftover.NEW, Leftover.BOTH)
    alone = decide(interruptions(fleet[1:]), fleet[1:], None)
    if alone.finish and not recovery.finish:
        assert "h1" in recovery.why
    assert alone.finish or not recovery.finish or finishing <= {"h1"}


def test_who_was_left_out_is_told_as_what_others_say() -> None:
    """A liar's word about another host stands beside that of the others, each with its speaker, and hides none."""
    true = Absence("h3", "2", "sha256:2", "ada", "2026-01-02T00:00:00Z", "burned")
    lie = replace(true, release="evil", at="2099-01-01T00:00:00Z", reason="run evil")
    rows = [
        HostStatus("h1", "shop", left_out=(lie,)),
        HostStatus("h2", "shop", left_out=(true,)),
        HostStatus(
            "h3", "shop", manifest="sha256:1", deployed_at="2026-01-01T00:00:00Z", left_out=(replace(true, host="h1"),)
        ),
        HostStatus("h4", "shop", left_out=(true,)),
    ]
    notes = with_absences(rows)[2].notes
    assert [n.partition(" by ")[0] for n in notes] == [
        "h1 says that it was left out of evil",
        "h2, h4 say that it was left out of 2",
    ]
