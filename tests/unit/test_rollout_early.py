"""What is done before it is due: images that are pulled before the locks are taken, drafts of what is written next."""

from __future__ import annotations

import threading
import time

import pytest

from relman.hosts.state_dir import lock as lock_file
from relman.model.errors import Cancelled, Locked
from relman.model.plan import Plan
from relman.model.state_dir.lock import Phase
from relman.model.state_dir.record import kept_name
from relman.rollout.fleet import Session
from relman.rollout.images.image_pull import Fetching, Wanted
from relman.rollout.operation import look
from relman.rollout.planning.planner import entry_of, plan_deploy
from relman.rollout.state.lease import LOOK_AFTER, Lease, uptime
from relman.rollout.state.locks import new_lock
from tests.unit.model_fleet import ModelFleet, Quiet, World, release, serving
from tests.unit.values import PORT, REPOSITORY

NAME = kept_name("production", "shop")


def _wanted(world: World, tag: str) -> tuple[Wanted, Plan]:
    asked, found = world.asked(), release(tag)
    plan = plan_deploy(asked, found, {h.name: PORT for h in world.hosts}, world.seen())
    return Wanted((NAME, str(found.repository)), lambda _, facts: entry_of(asked, found, PORT, facts)), plan


def test_an_image_that_was_pruned_before_the_lock_was_taken_is_brought_again() -> None:
    """Whoever held the lock before may have dropped the image that came early: it is there before a container
    changes."""
    world = serving(2, PORT, "1")
    wanted, plan = _wanted(world, "2")
    fleet, quiet = ModelFleet(world.hosts), Quiet()
    fetching = Fetching(fleet, quiet, threading.Event())
    fetching.begin(wanted)
    kept = {s.host: s.entry.kept_as for s in plan.steps}
    assert all(kept[h.name] in h.images for h in world.hosts)
    for reference in [r for r in world.hosts[1].images if r == kept["h2"] or "@" in r]:
        del world.hosts[1].images[reference]
    seen = {o.host: o for o in look(fleet, world.asked())}
    fetching.finish(plan, seen, time.monotonic())
    assert all(kept[h.name] in h.images for h in world.hosts)


def test_nothing_is_pulled_twice() -> None:
    """What came while the lock was held counts as it is, although what was seen of the host does not know it yet."""
    world = serving(1, PORT, "1")
    wanted, plan = _wanted(world, "2")
    fleet = ModelFleet(world.hosts)
    fetching = Fetching(fleet, Quiet(), threading.Event())
    seen, locked = {o.host: o for o in look(fleet, world.asked())}, time.monotonic()
    fetching.begin(wanted)
    before = world.changes
    assert fetching.finish(plan, seen, locked) == {
        "h1": plan.steps[0].entry.repository.at(plan.steps[0].entry.manifest)
    }
    assert world.changes == before


def test_what_nobody_waits_for_any_more_is_not_pulled() -> None:
    """A deployment that is refused, by a lock say, pulls nothing more."""
    world = serving(1, PORT, "1")
    wanted, plan = _wanted(world, "2")
    fleet = ModelFleet(world.hosts)
    images = dict(world.hosts[0].images)
    fetching = Fetching(fleet, Quiet(), threading.Event())
    fetching.give_up()
    fetching.begin(wanted)
    with pytest.raises(Cancelled):
        fetching.finish(plan, {o.host: o for o in look(fleet, world.asked())}, time.monotonic())
    assert world.hosts[0].images == images


def test_the_image_of_a_failed_first_deployment_goes_with_all_its_names() -> None:
    """The next good deployment lets go of what a failed one brought, although no record ever knew it."""
    world = World(1, PORT)
    world.hosts[0].sick = frozenset({"1"})
    assert world.deploy("1").error
    assert world.deploy("2").error is None
    good = release("2")
    assert set(world.hosts[0].images) == {REPOSITORY.at(good.manifest), f"{NAME}:{good.manifest.short}"}


@pytest.fixture
def held() -> tuple[World, Session, Lease]:
    """A host of whose lock a lease is held, and a draft of what it will say next."""
    world = serving(1, PORT, "1")
    session = ModelFleet(world.hosts).sessions["h1"]
    where, lock = (session.connection, "production", "shop"), new_lock(world.asked(), "at work")
    lock_file.acquire(*where, lock)
    lease = Lease(*where, lock)
    lease.prepare(Phase.REMOVING, None)
    return world, session, lease


def _wait(seconds: float, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so much time pass, here and on the hosts."""
    then = uptime() + seconds
    monkeypatch.setattr("relman.rollout.state.lease.uptime", lambda: then)
    world.now += seconds


@pytest.mark.parametrize(("seconds", "age"), [(LOOK_AFTER - 1, LOOK_AFTER - 1), (LOOK_AFTER + 1, 0.0)])
def test_a_draft_is_placed_only_while_it_is_young(
    held: tuple[World, Session, Lease], seconds: float, age: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock says what was drafted, and its file is never older than a holder may be silent before somebody breaks
    it; no draft stays behind."""
    world, session, lease = held
    _wait(seconds, world, monkeypatch)
    lease.advance(Phase.REMOVING, None)
    found = lock_file.read(session.connection, "production", "shop", now=world.hosts[0].clock())
    assert found
    assert found.lock
    assert found.lock.phase is Phase.REMOVING
    assert found.age == pytest.approx(age)
    lease.release()
    assert {p.rpartition("/")[2] for p in world.hosts[0].files} == {"record.json", "journal.jsonl"}


def test_a_draft_does_not_bring_back_a_lock_that_was_broken(
    held: tuple[World, Session, Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that was asleep looks before it places what it had drafted."""
    world, _, lease = held
    del world.hosts[0].files["/var/lib/relman/production/shop/lock.json"]
    _wait(LOOK_AFTER + 1, world, monkeypatch)
    with pytest.raises(Locked):
        lease.advance(Phase.REMOVING, None)
    assert "/var/lib/relman/production/shop/lock.json" not in world.hosts[0].files
