"""Hosts that left the inventory are named as long as another host's record knows them, as what that record says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.model.settings import DeploySettings
from relman.model.state_dir.record import HostRecord, Peer
from relman.rollout.looking.advice import CommandScope
from relman.rollout.looking.departed import departed
from tests.unit.model_fleet import World, serving
from tests.unit.model_host import ModelHost
from tests.unit.values import PORT, SECRET, SET, deployed

PLACE = CommandScope("production", frozenset({"shop"}), frozenset({"h1", "h2"}))


def known(world: World) -> dict[str, set[tuple[str, str]]]:
    """The other hosts that the record of each names, with the release."""
    return {o.host: {(k.host, k.release) for k in o.record.peers if k.host != o.host} for o in world.seen()}


def deploy(world: World, tag: str) -> None:
    """Deploy, so that it is proven good."""
    assert world.deploy(tag).error is None


@pytest.mark.parametrize("settings", [SET, SECRET], ids=["set", "secret"])
def test_a_host_is_known_until_no_release_that_went_there_is_kept(settings: DeploySettings) -> None:
    """A deployment without it, the same release again and a rollback forget none; that a release goes does."""
    world = serving(3, replace(settings, keep=2), "1", "2")
    world.hosts.pop()
    assert known(world) == {"h1": {("h2", "2"), ("h3", "2")}, "h2": {("h1", "2"), ("h3", "2")}}
    deploy(world, "2")
    deploy(world, "3")
    assert known(world)["h1"] == {("h2", "3"), ("h3", "2")}
    assert world.rollback().error is None
    assert ("h3", "2") in known(world)["h2"]
    for tag in ("4", "5", "6"):
        deploy(world, tag)
    assert known(world) == {"h1": {("h2", "6")}, "h2": {("h1", "6")}}


def test_a_host_that_only_joins_is_known_to_those_that_do_not_change() -> None:
    """The release that serves is deployed to one host more: the others note that one, too."""
    world = serving(2, SET, "1")
    late = ModelHost("h3", world.hosts[0].step, lambda: world.now)
    world.hosts.append(late)
    report = world.deploy("1")
    assert [s.host for s in report.plan.steps] == ["h3"]
    assert {host: {name for name, _ in others} for host, others in known(world).items()} == {
        "h1": {"h2", "h3"},
        "h2": {"h1", "h3"},
        "h3": {"h1", "h2"},
    }
    world.tidy()


def test_an_entry_of_version_1_names_no_hosts_but_those_left_out() -> None:
    """An older relman refuses a key that it does not know."""
    world = serving(3, PORT, "1")
    world.hosts.pop()
    assert known(world) == {"h1": set(), "h2": set()}
    assert world.deploy("2", left_out={"h3": "burned"}).error is None
    assert known(world) == {"h1": {("h3", "2")}, "h2": {("h3", "2")}}
    assert deployed("1").among(("h1",)) == deployed("1")


def test_the_last_that_a_record_says_of_a_host_counts() -> None:
    """Of several entries the newest."""
    old, new = (replace(deployed(tag), hosts=("h1", "h3"), at=f"2026-01-0{tag}T00:00:00Z") for tag in "12")
    record = HostRecord("shop", "production", (new, old), "2")
    assert Peer("h3", "2", "2026-01-02T00:00:00Z") in record.peers


def test_what_a_record_says_of_another_host_is_shown_as_its_word() -> None:
    """Equal claims once, with all who make them; a liar's stands beside them; hosts of the inventory are not named."""
    true, lie = (Peer("h3", tag, "2026-01-02T00:00:00Z") for tag in ("2", "evil"))
    inside = Peer("h2", "2", "2026-01-02T00:00:00Z")
    found = departed(
        {("h1", "shop"): (true, inside), ("h2", "shop"): (true,), ("h4", "shop"): (lie,)}, {"h1", "h2", "h4"}, PLACE
    )
    assert [(gone.host, gone.release, gone.says) for gone in found] == [
        ("h3", "2", ("h1", "h2")),
        ("h3", "evil", ("h4",)),
    ]
    assert found[0].what == (
        "h3 is no longer in production, and shop may still run there: h1, h2 know it from the deployment of 2 at "
        "2026-01-02T00:00:00Z"
    )
    assert found[0].way_out.endswith("relman remove -e production --only h3")
