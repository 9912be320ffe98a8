"""The rehearsal of a rollback on hosts in memory: whatever happens to it, what serves is as before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from relman.model.container import REHEARSAL
from relman.model.errors import CheckFailed, PreflightFailed, RelmanError, Unknown
from relman.model.settings import DeploySettings
from relman.rollout.rehearsal.rehearse import RehearsalResult
from tests.exhaustive.sample import part
from tests.unit.model_fleet import World, cut, faulty, killed, rebooted, restarted, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import FREE, KINDS, PORT, PROXIED, SECRET, SET, VOLUME

RUNS = {kind: settings for kind, settings in KINDS.items() if settings is not VOLUME}


def _left(world: World) -> list[str]:
    return [c.name for h in world.hosts for c in h.containers.values() if REHEARSAL in c.labels]


def _serving(world: World) -> list[set[str]]:
    return [{c.id for c in h.running if REHEARSAL not in c.labels} for h in world.hosts]


@pytest.mark.parametrize("kind", RUNS)
def test_a_rehearsal_changes_nothing_and_says_who_is_ready(kind: str) -> None:
    """Every host is ready, nothing is pulled, and all is as before; where a host's release is sick it is named."""
    world = serving(3, RUNS[kind], "1", "2")
    before, pulls = world.state(), [len(h.pulls) for h in world.hosts]
    report = world.rehearse()
    assert report.error is None, report.error
    assert (report.counted, report.plan.release) == ("3 of 3 ready", "1")
    assert (world.state(), [len(h.pulls) for h in world.hosts]) == (before, pulls)
    world.hosts[1].sick = frozenset({"1"})
    report = world.rehearse()
    assert isinstance(report.error, CheckFailed)
    assert "2 of 3 ready" in report.error.what
    assert [h.result for h in report.hosts] == [RehearsalResult.READY, RehearsalResult.NOT_READY, RehearsalResult.READY]
    assert world.state() == before


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("what", [killed, cut, rebooted, restarted, faulty])
def test_whatever_happens_to_a_rehearsal_what_serves_is_as_before(what: Callable[[ModelHost], None], kind: str) -> None:
    """Before each change of a host, of which a third is tried: nothing that serves stops, nothing of the rehearsal
    comes back after a reboot, and the next command finds and removes what was left."""
    count = _changes(RUNS[kind])
    for at in part(range(1, count + 1), list(RUNS).index(kind), 3):
        world = serving(2, RUNS[kind], "1", "2")
        before, ran = world.state(), _serving(world)
        world.before(at, what)
        try:
            report = world.rehearse()
        except Died:
            assert what is killed
        except RelmanError:
            pass  # before anything was started
        else:
            assert report.error is None or isinstance(report.error, CheckFailed | Unknown), report.error
        assert world.versions == ["2", "2"], at
        assert _serving(world) == ran, at
        world.calm()
        for host in world.hosts:
            host.reboot()
        assert not [c for h in world.hosts for c in h.running if REHEARSAL in c.labels], at
        if at % 2:
            assert world.recover().error is None
            assert world.state() == before, at
        assert world.rollback().error is None, at
        assert _left(world) == []
        assert world.recover().error is None  # removes half-written files
        world.tidy()


def _changes(settings: DeploySettings) -> int:
    world = serving(2, settings, "1", "2")
    world.before(0, lambda _: None)
    assert world.rehearse().error is None
    return world.changes


def test_what_must_not_run_twice_is_not_started_and_named() -> None:
    """Of a set the worker, which writes a volume; of a release that is nothing else all is refused."""
    report = serving(2, SET, "1", "2").rehearse()
    assert [dict(h.alone) for h in report.hosts] == [{"worker": "both write data"}] * 2
    with pytest.raises(PreflightFailed, match=r"nothing of shop 1 can be rehearsed: it \(both write data\)"):
        serving(2, VOLUME, "1", "2").rehearse()


@pytest.mark.parametrize("settings", [PORT, FREE, PROXIED, SECRET])
def test_a_host_that_lacks_something_is_not_ready_and_says_how_it_gets_it(settings: DeploySettings) -> None:
    """An image that was removed, an entry that it never had; the others are rehearsed."""
    world = serving(3, settings, "1", "2")
    kept = [
        name
        for name in world.hosts[0].images
        if world.hosts[0].images[name] == world.seen()[0].record.entries[0].image_id
    ]
    for name in kept:
        del world.hosts[0].images[name]
    report = world.rehearse()
    assert isinstance(report.error, CheckFailed)
    assert "2 of 3 ready" in report.error.what
    (lacking,) = report.of(RehearsalResult.NOT_READY)
    assert (lacking.host, "docker pull 10.77.0.254:5000/shop@sha256:" in lacking.hint) == ("h1", True)
    world = serving(2, settings, "1")
    world.count = 3
    world.hosts.append(new := World(3, settings).hosts[2])
    new.step, new.clock = world._step, world.hosts[0].clock
    assert world.deploy("2").error is None
    (lacking,) = world.rehearse().of(RehearsalResult.NOT_READY)
    assert (lacking.host, "--only h3" in lacking.hint) == ("h3", True)


def test_a_host_that_falls_silent_is_unknown() -> None:
    """Nothing is claimed of it, and the next rehearsal removes what it left."""
    world = serving(3, FREE, "1", "2")
    started = next(at for at in range(1, 99) if _starts(at))
    world.before(started, cut)
    report = world.rehearse()
    assert isinstance(report.error, Unknown)
    assert "2 of 3 ready" in report.error.what
    assert len(_left(world)) == 1
    world.calm()
    assert world.rehearse().counted == "3 of 3 ready"
    assert _left(world) == []


def _starts(at: int) -> bool:
    """Whether a container was made and change number `at` is the next."""
    world = serving(3, FREE, "1", "2")
    world.before(at, killed)
    with contextlib.suppress(Died):
        world.rehearse()
    return bool(_left(world))


def test_no_more_are_rehearsed_at_once_than_was_asked_for() -> None:
    """--max-unavailable counts for a rehearsal, too."""
    world = serving(4, FREE, "1", "2")
    most = 0

    def look(_: ModelHost) -> None:
        nonlocal most
        most = max(most, len(_left(world)))

    for at in range(1, 60):
        world.before(at, look)
        assert world.rehearse(max_unavailable="1").counted == "4 of 4 ready"
    assert most == 1
