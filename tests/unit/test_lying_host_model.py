"""A host in memory whose root writes what it likes, h1: what comes of it on the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relman.model.errors import Interrupted, MixedFleet, PreflightFailed
from relman.model.image import ManifestDigest, Repository
from relman.model.plan import Result
from relman.model.settings import OnFailure
from relman.model.state_dir.lock import Intent, Lock, Phase
from relman.model.state_dir.record import Deployed
from relman.model.strategy import Task
from tests.unit.model_fleet import LOGIN, World, killed, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import FREE, PORT, REPOSITORY

ELSEWHERE = Repository("evil.example:5000", "shop")


def _forge(host: ModelHost, change: Callable[[dict[str, Any]], object]) -> None:
    """Let the host's root write its record."""
    (path,) = (p for p in host.files if p.endswith("record.json"))
    data, at = host.files[path]
    record = json.loads(data)
    change(record)
    host.files[path] = (json.dumps(record).encode(), at)


def _evil(record: dict[str, Any]) -> None:
    entry = {**record["entries"][0], "id": "evil", "release": "evil", "repository": str(ELSEWHERE), "proven": True}
    entry["manifest"] = str(ManifestDigest.of(b"evil"))
    entry["settings"] = {**entry["settings"], "volumes": [{"source": "/", "target": "/host", "read_only": False}]}
    record["entries"].insert(-1, entry)


def test_an_entry_that_a_host_made_up_runs_nowhere() -> None:
    """The release before the one that serves is another one on h1 alone: refused, with every host and its proposal;
    nothing was pulled, nothing changed; a person who names the others' release gets it, from each host's own record."""
    world = serving(3, PORT, "1", "2")
    _forge(world.hosts[0], _evil)
    before = world.state()
    pulled = [len(h.pulls) for h in world.hosts]
    with pytest.raises(PreflightFailed, match="do not agree") as caught:
        world.rollback()
    assert [d.partition(" (")[0] for d in caught.value.details] == ["h1: 2 -> evil", "h2: 2 -> 1", "h3: 2 -> 1"]
    with pytest.raises(PreflightFailed, match="h2, h3 have no entry of their own for evil"):
        world.rollback("evil")
    assert world.state() == before
    assert [len(h.pulls) for h in world.hosts] == pulled
    assert world.rollback("1").error is None
    assert set(world.versions) == {"1"}
    assert all(h.settings[h.running[0].id].volumes == () for h in world.hosts)


def test_images_come_from_the_inventory_s_repository_whatever_a_record_says() -> None:
    """A host that lost its image pulls the digest that its record says, from where the inventory says; the login goes
    there and nowhere else."""
    world = serving(2, PORT, "1", "2")
    host = world.hosts[0]
    _forge(host, lambda record: [e.update(repository=str(ELSEWHERE)) for e in record["entries"]])
    kept = json.loads(next(d for p, (d, _) in host.files.items() if "record" in p))["entries"][0]["kept_as"]
    gone = host.images[kept]
    host.images = {name: image for name, image in host.images.items() if image != gone}
    host.containers = {id: c for id, c in host.containers.items() if c.image_id != gone}
    host.pulls.clear()
    assert world.rollback().error is None
    assert set(world.versions) == {"1"}
    assert host.pulls == [(str(REPOSITORY), LOGIN.auth_config)]


def test_settings_that_a_host_made_up_do_not_hurry_the_others() -> None:
    """All at once, nothing kept, going on after failures: h1 says so of its own entry, and the others go one by one."""
    world = serving(3, PORT, "1", "2")
    hurry = {"max_unavailable": "100%", "keep": 0, "on_failure": "continue"}
    _forge(world.hosts[0], lambda record: record["entries"][0]["settings"].update(hurry))
    report = world.rollback()
    assert [len(w.steps) for w in report.plan.waves] == [1, 1, 1]
    assert (report.plan.on_failure, report.plan.keep) == (OnFailure.ROLLBACK, 5)
    assert [s.entry.settings.keep for s in report.plan.steps] == [0, 5, 5]
    assert set(world.versions) == {"1"}


def _interrupted_on_all(tag: str = "2") -> World:
    """relman died when h1 and h2 ran the new release, and h3 was in the middle of its step."""
    for at in range(1, 200):
        world = serving(3, PORT, "1")
        world.before(at, killed)
        with pytest.raises(Died):
            world.deploy(tag)
        if world.versions == [tag, tag, "-"]:
            world.calm()
            return world
    raise AssertionError("it never came so far")


def test_a_record_that_says_done_does_not_finish_it_on_others() -> None:
    """h1 says in its record that the deployment is done: it stays so there, the others go back, and the exit code says
    that they differ, by name."""
    world = _interrupted_on_all()
    (lock,) = (json.loads(d) for p, (d, _) in world.hosts[0].files.items() if p.endswith("lock.json"))

    def done(record: dict[str, Any]) -> None:
        record["entries"].append({**lock["intent"]["entry"], "proven": True, "container": world.hosts[0].running[0].id})
        record["current"] = lock["intent"]["entry"]["id"]

    _forge(world.hosts[0], done)
    report = world.recover()
    assert isinstance(report.error, MixedFleet)
    assert "finished on h1" in str(report.error)
    assert {o.host: o.result for o in report.outcomes} == {
        "h1": Result.CHANGED,
        "h2": Result.RETURNED,
        "h3": Result.RETURNED,
    }
    assert world.versions == ["2", "1", "1"]
    assert not [p for h in world.hosts for p in h.files if "lock" in p]


def _lock(world: World, entry: Deployed) -> None:
    """Let h1 say that relman died there while it put `entry` in the place of what runs."""
    h1 = world.hosts[0]
    path = next(p for p in h1.files if "record" in p).replace("record", "lock")
    intent = Intent(h1.running[0].id, "always", "evil", entry, stop_first=True)
    lock = Lock("m@x", "elsewhere", 1, "t", "evil", "deploying shop 3", 0.0, Phase.CHANGING, intent)
    h1.files[path] = (json.dumps(lock.to_json()).encode(), h1.clock() - 1)


def test_a_lock_that_a_host_made_up_is_its_own_affair() -> None:
    """It says that something was begun there, and names a release: recover undoes that there, and touches no other."""
    world = serving(3, FREE, "1", "2")
    first = world.seen()[0].record.entries[0]
    _lock(world, replace(first, id="evil", repository=ELSEWHERE))
    before = world.state()[1:]
    with pytest.raises(Interrupted, match="h1"):
        world.deploy("3")
    report = world.recover()
    assert report.error is None
    assert {o.host: o.result for o in report.outcomes} == {
        "h1": Result.RETURNED,
        "h2": Result.UNCHANGED,
        "h3": Result.UNCHANGED,
    }
    assert world.state()[1:] == before


def test_a_task_that_a_host_made_up_waits_for_a_person_by_the_host_s_name() -> None:
    """What cannot be gone back over stops the recovery, and says where it is said to have run."""
    world = serving(3, FREE, "1", "2")
    first = world.seen()[0].record.entries[0]
    _lock(world, replace(first, id="evil", settings=replace(FREE, tasks=(Task("evil", ("rm",)),))))
    with pytest.raises(Interrupted, match="evil of 1 ran before it was interrupted on h1"):
        world.recover()
    world.calm()
    assert world.recover(finish=False).error is None
    assert world.versions == ["2", "2", "2"]
