"""Whole rollouts on hosts in memory: what a plan promises, whatever fails, and whenever relman dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from relman.model.container import ENVIRONMENT, RELEASE, SERVICE, TASK, TASK_TIMEOUT, Container
from relman.model.errors import EngineError, Interrupted, MixedFleet, NotServing, RelmanError, RolledBack
from relman.model.image import ImageId
from relman.model.plan import Result
from relman.model.settings import DeploySettings, OnFailure
from relman.model.strategy import Strategy, StrategyKind
from relman.rollout.planning.strategies.batches import batch_size
from tests.exhaustive.sample import part
from tests.unit.model_fleet import World, cut, faulty, killed, rebooted, restarted, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import FREE, KINDS, PORT, VOLUME, with_env

MOST = 1000  # more changes than a recovery makes
shares = st.sampled_from(["1", "2", "3", "25%", "50%", "99%", "100%"])
strategies = st.builds(
    Strategy,
    kind=st.sampled_from(StrategyKind),
    batches=st.lists(shares, max_size=3).map(tuple),
    hosts=st.lists(st.sampled_from(["h1", "h2", "h5", "elsewhere"]), max_size=2, unique=True).map(tuple),
    count=shares,
    bake=st.just(0.0),
)


def _possible(settings: DeploySettings) -> DeploySettings:
    """As relman.yml can say it: blue_green changes all hosts or none, and runs both releases."""
    if settings.strategy.kind is not StrategyKind.BLUE_GREEN:
        return settings
    free = replace(settings, ports=(), volumes=())
    return replace(free, on_failure=OnFailure.ROLLBACK, max_failures=0)


policies = st.builds(
    replace,
    st.sampled_from([PORT, VOLUME, FREE]),
    strategy=strategies,
    max_unavailable=shares,
    on_failure=st.sampled_from(OnFailure),
    max_failures=st.integers(0, 2),
).map(_possible)


@effort(max_examples=40, deadline=None)
@given(st.integers(1, 6), policies, st.sets(st.integers(1, 6)))
def test_whatever_fails_no_more_are_dark_than_allowed_and_no_failed_wave_starts_the_next(
    count: int, settings: DeploySettings, sick: set[int]
) -> None:
    """Each host is in one wave; hosts that serve nothing are never more than a wave; after a wave with more failures
    than are tolerated nothing begins; and the way it ended is what the hosts are."""
    world = serving(count, settings, "1")
    for number in sick:
        if number <= count:
            world.hosts[number - 1].sick = frozenset({"2"})
    before = world.state()
    world.before(0, lambda _: None)
    report = world.deploy("2")
    plan = report.plan
    assert sorted(s.host for s in plan.steps) == sorted(h.name for h in world.hosts)
    most = batch_size(settings.max_unavailable, count)
    assert max(len(w.steps) for w in plan.waves) <= most
    assert world.dark <= most
    _check_order(report.outcomes, plan, {f"h{i}" for i in sick})
    _check_end(world, report.error, before)


def _check_order(outcomes: object, plan: object, sick: set[str]) -> None:
    failures = 0
    allowed = len(plan.steps) if plan.on_failure is OnFailure.CONTINUE else plan.max_failures  # type: ignore[attr-defined]
    results = {o.host: o.result for o in outcomes}  # type: ignore[attr-defined]
    over = False
    for wave in plan.waves:  # type: ignore[attr-defined]
        hosts = [s.host for s in wave.steps]
        assert all((results[h] is Result.NOT_REACHED) is over for h in hosts)
        failed = sum(h in sick for h in hosts)
        failures += 0 if over else failed
        over = over or (failed > 0 and (wave.canary or failures > allowed))


def _check_end(world: World, error: RelmanError | None, before: list[tuple[object, ...]]) -> None:
    if error is None:
        assert set(world.versions) == {"2"}
        world.tidy()
        again = world.deploy("2")
        assert (again.plan.steps, again.error) == ((), None)
    elif isinstance(error, RolledBack):
        assert set(world.versions) == {"1"}
        assert world.state() == before
    else:
        assert isinstance(error, MixedFleet)
        assert set(world.versions) == {"1", "2"}
        world.tidy(whole=False)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_a_rollback_restores_exactly_what_was(settings: DeploySettings) -> None:
    """Release, settings, variables and secrets of each host, also when nothing but the settings had changed."""
    secret = {"KEY": "1"} if settings.secrets else {}
    world = serving(3, settings, "1")
    assert world.deploy("1", with_env(settings, {"A": "2"})).error is None
    assert world.deploy("2", with_env(settings, {"B": "3"})).error is None
    for env in ({"A": "2"}, {}):
        assert world.rollback().error is None
        assert set(world.versions) == {"1"}
        assert all(h.settings[c.id].env == env | secret for h in world.hosts for c in h.running)
        world.tidy()


def changes_of(make: Callable[[], World], command: Callable[[World], object]) -> int:
    """How many changes of hosts a command makes when nothing happens."""
    world = make()
    world.before(0, lambda _: None)
    command(world)
    return world.changes


COMMANDS: dict[str, tuple[Callable[[DeploySettings], World], Callable[[World], object]]] = {
    "first deployment": (lambda s: World(2, s), lambda w: w.deploy("1")),
    "deployment": (lambda s: serving(2, s, "1"), lambda w: w.deploy("2")),
    "deployment that fails": (lambda s: _sick(serving(2, s, "1")), lambda w: w.deploy("2")),
    "rollback": (lambda s: serving(2, s, "1", "2"), lambda w: w.rollback()),
    "change of settings": (
        lambda s: serving(2, s, "1"),
        lambda w: w.deploy("1", with_env(w.settings, {"A": "1"})),
    ),
}


def _sick(world: World) -> World:
    world.hosts[1].sick = frozenset({"2"})
    return world


def _resolve(world: World) -> None:
    """What a person does next: a deployment is refused where one was interrupted, starts what serves nothing, and
    recover resolves the rest."""
    world.calm()
    begun = any(
        f.endswith("lock.json") and b'"phase": "changing"' in d for h in world.hosts for f, (d, _) in h.files.items()
    )
    if begun:
        with pytest.raises(Interrupted):
            world.deploy("3")
        world.heal()
    assert world.recover().error is None
    world.hosts[-1].sick = frozenset()
    assert world.deploy("3").error is None
    assert set(world.versions) == {"3"}
    world.tidy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_death_at_every_boundary_is_resolved(name: str, kind: str) -> None:
    """Whatever change of a host was the first that no longer came: at most a wave's hosts are dark, the next command
    heals them, recover resolves it, nothing is left behind, and then a deployment works."""
    make, command = COMMANDS[name]
    settings = KINDS[kind]
    for at in range(1, changes_of(lambda: make(settings), command) + 1):
        world = make(settings)
        existing = set(world.versions) != {"-"}
        world.before(at, killed)
        with pytest.raises(Died):
            command(world)
        if existing:
            assert world.versions.count("-") <= 1, at
            world.calm()
            world.heal()
            assert not any(h.dark for h in world.hosts), at
        _resolve(world)


@pytest.mark.parametrize("kind", KINDS)
def test_a_death_at_every_boundary_of_a_recovery_is_resolved(kind: str) -> None:
    """A recovery that dies is recovered from like a deployment; a fifth of its moments are tried."""
    settings = KINDS[kind]
    points = changes_of(lambda: serving(2, settings, "1"), lambda w: w.deploy("2"))
    for first in range(1, points + 1, 9 if kind in ("secret", "set") else 3):
        for at in part(range(1, MOST), first // 3, 5):
            world = serving(2, settings, "1")
            world.before(first, killed)
            with pytest.raises(Died):
                world.deploy("2")
            world.calm()
            world.before(at, killed)
            try:
                world.recover()
            except Died:
                assert world.versions.count("-") <= 1
                _resolve(world)
            else:
                break


@pytest.mark.parametrize("what", [cut, rebooted, faulty])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(COMMANDS)[1:])
def test_a_host_lost_at_every_boundary_is_resolved(name: str, kind: str, what: Callable[[ModelHost], None]) -> None:
    """A cable that is pulled, a power cut, or a fault of relman's own, before any change: no other host is left dark,
    nothing foreign ends the command, and it is resolved; of what changes much, at a fifth of the moments."""
    make, command = COMMANDS[name]
    settings = KINDS[kind]
    moments = range(1, changes_of(lambda: make(settings), command) + 1)
    for at in part(moments, list(COMMANDS).index(name), 5) if kind in ("set", "proxied") else moments:
        world = make(settings)
        world.before(at, what)
        try:
            report = command(world)
        except RelmanError:
            report = None
        assert world.versions.count("-") <= 1, at
        del report
        world.calm()
        world.heal()
        assert not any(h.dark for h in world.hosts), at
        assert all(len(h.running) == 1 or kind in ("free", "set", "proxied") for h in world.hosts), at
        assert world.recover().error is None
        world.hosts[-1].sick = frozenset()
        assert world.deploy("3").error is None
        world.tidy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_that_reboots_and_is_reached_again_is_as_it_is_said_to_be(kind: str) -> None:
    """Whatever change its reboot came before: a deployment that is done runs everywhere, and only then."""
    ended = set()
    for at in range(1, changes_of(lambda: serving(2, KINDS[kind], "1"), lambda w: w.deploy("2")) + 1):
        world = serving(2, KINDS[kind], "1")
        world.before(at, restarted)
        report = world.deploy("2")
        ended.add(type(report.error))
        assert not any(h.dark for h in world.hosts), at
        if report.error is None:
            assert set(world.versions) == {"2"}, at
            world.tidy()
        else:
            assert isinstance(report.error, RolledBack), at
            assert set(world.versions) == {"1"}, at
    assert ended == {type(None), RolledBack}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_relmans_own_on_one_host_takes_nobody_elses_way_back(kind: str) -> None:
    """Whatever is raised at any change of the second host after the first has changed: the first goes back."""
    failed = 0
    for at in range(1, changes_of(lambda: serving(2, KINDS[kind], "1"), lambda w: w.deploy("2")) + 1):
        world = serving(2, KINDS[kind], "1")

        def strike(host: ModelHost, first: ModelHost = world.hosts[0]) -> None:
            if host is not first and first.serves == "2":
                faulty(host)

        world.before(at, strike)
        report = world.deploy("2")
        if isinstance(report.error, RolledBack):
            failed += 1
            assert world.versions == ["1", "1"]
            assert any("internal error: KeyError" in line for line in report.error.details)
    assert failed


def test_a_port_stolen_inside_the_gap_is_a_host_that_does_not_serve_until_it_is_free_again() -> None:
    """Neither container gets the port: exit code 10, the others as before; once it is free the next command starts the
    old one first."""
    world = serving(3, PORT, "1")
    world.hosts[1].thief = True
    report = world.deploy("2")
    assert isinstance(report.error, NotServing)
    assert "'sport = :8080'" in report.error.hint
    assert "relman recover" in report.error.hint
    assert world.versions == ["1", "-", "1"]
    world.hosts[1].thief = False
    world.calm()
    with pytest.raises(Interrupted):
        world.deploy("3")
    assert world.heal() == ("h2",)
    assert set(world.versions) == {"1"}
    assert world.recover().error is None
    assert world.deploy("3").error is None
    world.tidy()


def test_a_disk_that_is_full_does_not_keep_the_old_container_from_coming_back() -> None:
    """Neither lock nor policy can be written any more: it serves again, and the outcome says what could not be done."""
    world = serving(2, PORT, "1")
    world.hosts[0].sick = frozenset({"2"})
    create = next(at for at in range(1, 99) if _fills(at))
    world.before(create, lambda h: setattr(h, "full", True))
    report = world.deploy("2")
    assert isinstance(report.error, RolledBack), report
    assert set(world.versions) == {"1"}
    world.hosts[0].full = False
    world.calm()
    world.hosts[0].sick = frozenset()
    assert world.deploy("2").error is None
    world.tidy()


def _fills(at: int) -> bool:
    """Whether change number `at` of that deployment is the start of the new container."""
    world = serving(2, PORT, "1")
    world.before(at, killed)
    with pytest.raises(Died):
        world.deploy("2")
    return world.versions[0] == "-"


def test_the_locks_age_by_the_hosts_own_clock() -> None:
    """Hosts whose clocks are hours ahead hold a lock no shorter and no longer than others."""
    world = serving(3, PORT, "1")
    world.before(16, killed)
    with pytest.raises(Died):
        world.deploy("2")
    world.before(0, lambda _: None)
    world.now += 50
    with pytest.raises(RelmanError, match="locked"):
        world.deploy("3")
    world.now += 20
    with pytest.raises(Interrupted):
        world.deploy("3")


def test_what_is_left_out_stands_in_the_records_of_the_others() -> None:
    """A deployment without a host is noted where everybody looks, also on hosts that did not change."""
    world = serving(3, PORT, "1")
    gone = world.hosts.pop()
    assert world.deploy("2", left_out={"h3": "burned"}).error is None
    for seen in world.seen():
        assert [(a.host, a.release, a.reason) for a in seen.record.left_out] == [("h3", "2", "burned")]
    world.hosts.append(gone)
    report = world.deploy("2")
    assert [s.host for s in report.plan.steps] == ["h3"]
    records = [json.loads(d) for h in world.hosts for p, (d, _) in h.files.items() if p.endswith("record.json")]
    assert all(r["entries"][-1]["release"] == "2" for r in records)
    assert {c.labels[RELEASE] for h in world.hosts for c in h.running} == {"2"}


@pytest.mark.parametrize("said", ["soon", "nan", "inf", "-1", "1e300", ""])
def test_a_task_s_label_that_is_no_time_is_its_host_s_error(said: str) -> None:
    """Anybody who may use the engine can write a label: relman neither stops the task for it nor waits for ever."""
    world = serving(2, PORT, "1")
    host = world.hosts[0]
    mark = {SERVICE: "shop", ENVIRONMENT: "production", TASK: "migrate", TASK_TIMEOUT: said}
    host.containers["f" * 64] = Container("f" * 64, "migrate", ImageId("sha256:" + "0" * 64), "running", labels=mark)
    with pytest.raises(EngineError, match=r"h1: the label relman.task.timeout of migrate is not a number of seconds"):
        world.recover()
    assert host.containers["f" * 64].running
