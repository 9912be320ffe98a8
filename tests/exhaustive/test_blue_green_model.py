"""Blue/green on hosts in memory: no host is switched before all have healthy new containers, and none is ever dark."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from relman.model.container import RELEASE
from relman.model.errors import Cancelled, CheckFailed, Interrupted, PreflightFailed, RelmanError, RolledBack
from relman.model.settings import DeploySettings, Process, RunSettings
from relman.model.strategy import Check, Strategy, StrategyKind
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import plan_deploy
from tests.exhaustive.sample import part
from tests.unit.model_fleet import Quiet, World, cut, faulty, killed, rebooted, release, restarted, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import HEALTH, PORT, PROXIED

BOTH = Strategy(StrategyKind.BLUE_GREEN, bake=0.0)
WEB = replace(PROXIED, strategy=BOTH, max_unavailable="100%")
WORKERS = DeploySettings(
    health=HEALTH,
    strategy=BOTH,
    max_unavailable="100%",
    processes=(
        Process("web", 2, RunSettings(health=HEALTH, proxy=PROXIED.proxy)),
        Process("worker", 1, RunSettings(health=HEALTH)),
    ),
)
KINDS = {"web": WEB, "workers": WORKERS}


def _releases(host: ModelHost) -> set[str]:
    return {c.labels[RELEASE] for c in host.running}


@contextlib.contextmanager
def _observed(world: World, each: Callable[[], None]) -> Iterator[None]:
    """Look before every change of a host."""
    step = world._step

    def looked(host: ModelHost) -> None:
        each()
        step(host)

    for host in world.hosts:
        host.step = looked
    yield
    for host in world.hosts:
        host.step = step


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_no_host_is_switched_before_all_have_new_containers_and_no_old_one_stops_before_all_are_switched(
    settings: DeploySettings,
) -> None:
    """All old containers run until the new ones serve everywhere; then they stop, and a rollback starts them again."""
    world = serving(3, settings, "1")
    seen = set()

    def look() -> None:
        both = [_releases(h) == {"1", "2"} for h in world.hosts]
        seen.add(tuple(world.versions))
        if "2" in world.versions:
            assert all(both) or set(world.versions) == {"2"}
        if not all("1" in _releases(h) for h in world.hosts):
            assert set(world.versions) == {"2"}

    with _observed(world, look):
        report = world.deploy("2")
    assert (report.error, len(report.plan.waves), set(world.versions)) == (None, 1, {"2"})
    assert {("1", "1", "1"), ("2", "2", "2")} <= seen
    assert all(_releases(h) == {"2"} for h in world.hosts)
    world.tidy()
    assert world.rollback().error is None
    assert set(world.versions) == {"1"}
    world.tidy()


@pytest.mark.parametrize("what", [killed, cut, rebooted, restarted, faulty])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_before_any_change_no_host_is_dark_and_it_is_resolved(
    kind: str, what: Callable[[ModelHost], None]
) -> None:
    """A death, a cable, the power, a fault of relman's own: what serves is one of both releases, a recovery ends it,
    and nothing is left behind; half of the moments are tried, of the set a sixth."""
    settings = KINDS[kind]
    world = serving(2, settings, "1")
    world.before(0, lambda _: None)
    assert world.deploy("2").error is None
    moments = range(1, world.changes + 1)
    for at in part(moments, 0, 2) if kind == "web" else part(moments, 1, 6):
        world = serving(2, settings, "1")
        world.before(at, what)
        with contextlib.suppress(RelmanError, Died):
            world.deploy("2")
        assert set(world.versions) <= {"1", "2"}, (at, world.versions)
        world.calm()
        world.heal()
        assert world.recover().error is None, at
        assert len(set(world.versions)) == 1, (at, world.versions)
        world.tidy(whole=False)
        assert world.deploy("3").error is None, at
        world.tidy()


class _Acting(Quiet):
    """A watcher that does something when the pause begins."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.act = act

    def say(self, text: str) -> None:
        """Remember it."""
        super().say(text)
        if "while the old containers still run" in text:
            self.act()


def _sicken(hosts: Iterable[ModelHost]) -> None:
    for host in hosts:
        host.sick = frozenset({"2"})


PAUSES: dict[str, tuple[Callable[[World], object], Check | None, type[RelmanError]]] = {
    "sick": (lambda w: _sicken(w.hosts[1:]), None, RolledBack),
    "cancelled": (lambda w: w.cancel.set(), None, Cancelled),
    "check": (lambda _: None, Check(command=("/bin/false",), timeout=5.0), CheckFailed),
}


@pytest.mark.parametrize("name", PAUSES)
def test_in_the_pause_it_goes_back_without_a_start(name: str) -> None:
    """A new container that is no longer well, a check that fails, a person who stops it: the old containers, which
    never stopped, serve again, and all is as it was."""
    act, check, error = PAUSES[name]
    world = serving(2, WEB, "1")
    before, switched = world.state(), []

    def began() -> None:
        switched.append((tuple(world.versions), [h.files for h in world.hosts if _lock_says(h)]))
        act(world)

    world.watcher = _Acting(began)
    with _observed(world, lambda: _all_run(world)):
        report = world.deploy("2", replace(WEB, strategy=replace(BOTH, bake=0.01, check=check)))
    assert isinstance(report.error, error), report.error
    assert [versions for versions, _ in switched] == [("2", "2")]
    assert all(len(said) == 2 for _, said in switched)
    assert world.state() == before
    for host in world.hosts:
        host.sick = frozenset()
    world.cancel.clear()
    assert world.deploy("2").error is None
    world.tidy()


def _all_run(world: World) -> None:
    assert all("1" in _releases(h) for h in world.hosts)


def _lock_says(host: ModelHost) -> bool:
    return any(
        b"1 still runs beside it" in data for path, (data, _) in host.files.items() if path.endswith("lock.json")
    )


@pytest.mark.parametrize("finish", [None, True, False])
def test_a_death_in_the_pause_is_finished_or_undone_and_a_reboot_before_that_changes_nothing(
    finish: bool | None,
) -> None:
    """What the proxies send requests to comes back; without a word the recovery finishes it, since the new release runs
    everywhere."""
    world = serving(2, WEB, "1")
    world.watcher = _Acting(lambda: killed(world.hosts[0]))
    with pytest.raises(Died):
        world.deploy("2", replace(WEB, strategy=replace(BOTH, bake=0.01)))
    world.calm()
    assert world.versions == ["2", "2"]
    for host in world.hosts:
        host.reboot()
    assert world.versions == ["2", "2"]
    with pytest.raises(Interrupted):
        world.deploy("3")
    assert world.recover(finish).error is None
    assert set(world.versions) == {"1" if finish is False else "2"}
    world.tidy(whole=False)


def test_what_cannot_run_beside_the_old_release_is_refused_before_anything_changes() -> None:
    """Where the release that serves takes a port that the new one takes, too, although that one alone were fine."""
    world = serving(2, PORT, "1")
    plan = plan_deploy(
        world.asked(), release("2"), dict.fromkeys(("h1", "h2"), replace(PORT, strategy=BOTH)), world.seen()
    )
    with pytest.raises(PreflightFailed) as caught:
        preflight.check(plan, world.seen(), None)
    assert "h1: strategy blue_green runs both releases, and both take port 8080" in caught.value.details


def test_fewer_hosts_at_once_where_a_person_says_so() -> None:
    """--max-unavailable 1: one host after the other, each with its switch and its pause; the first that fails takes all
    back."""
    world = serving(3, WEB, "1")
    world.hosts[2].sick = frozenset({"2"})
    report = world.deploy("2", max_unavailable="1")
    assert [len(w.steps) for w in report.plan.waves] == [1, 1, 1]
    assert isinstance(report.error, RolledBack)
    assert set(world.versions) == {"1"}
    world.hosts[2].sick = frozenset()
    assert world.deploy("2", max_unavailable="1").error is None
    world.tidy()
