"""Containers that somebody paused, or started beside the one that serves: refused, replaced or ended, never doubled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.model.container import RELEASE
from relman.model.errors import PreflightFailed
from relman.model.settings import DeploySettings
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import plan_deploy, plan_rollback
from tests.unit.model_fleet import killed, release, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import FREE, KINDS, PORT


def _pause(host: ModelHost) -> None:
    """Somebody pauses what runs there."""
    for container in host.running:
        host.containers[container.id] = replace(container, status="paused")


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_a_rollback_replaces_what_is_paused_and_doubles_nothing(settings: DeploySettings) -> None:
    """On a host whose container somebody paused: one container runs afterwards, and none stands still."""
    world = serving(3, settings, "1", "2")
    _pause(world.hosts[1])
    assert world.rollback().error is None
    assert set(world.versions) == {"1"}
    assert not any(c.paused for h in world.hosts for c in h.containers.values())
    world.tidy()


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_a_death_at_every_boundary_of_a_rollback_from_what_is_paused_is_resolved(settings: DeploySettings) -> None:
    """Recovery neither starts what is paused nor doubles it: where it was not replaced yet it is as it was before."""
    at, points = 0, 1
    while at < points:
        at += 1
        world = serving(2, settings, "1", "2")
        _pause(world.hosts[0])
        world.before(at, killed)
        try:
            world.rollback()
        except Died:
            points = at + 1
        world.calm()
        world.heal()
        assert world.recover().error is None, at
        for host in world.hosts:
            alive = [c for c in host.containers.values() if c.alive]
            assert sorted(c.slot for c in alive) == sorted({c.slot for c in alive}), at
            assert {c.process for c in alive} == {p.name for p in settings.parts}, at


def test_a_deployment_refuses_what_is_paused_by_name_with_both_ways_out() -> None:
    """docker unpause, or a rollback where there is something to roll back to; a rollback itself is let through."""
    world = serving(2, PORT, "1", "2")
    _pause(world.hosts[1])
    third = replace(release("3"), has_healthcheck=True)
    asked, seen = replace(world.asked(), several=True), world.seen()
    with pytest.raises(PreflightFailed) as refused:
        preflight.check(plan_deploy(asked, third, {h.name: PORT for h in world.hosts}, seen), seen, third)
    name = next(c.name for c in world.hosts[1].containers.values() if c.paused)
    back = "relman rollback -e production --service shop replaces it"
    said = f"h2: {name} is paused: resume it there with docker unpause {name}, or {back}"
    assert refused.value.details == (said,)
    preflight.check(plan_rollback(asked, seen), seen, None)
    only = serving(1, PORT, "1")
    _pause(only.hosts[0])
    with pytest.raises(PreflightFailed) as refused:
        preflight.check(plan_deploy(asked, third, {"h1": PORT}, only.seen()), only.seen(), third)
    assert "is paused" in refused.value.details[0]
    assert "rollback" not in refused.value.details[0]


@pytest.mark.parametrize("tag", ["2", "3"])
@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_deployment_ends_what_runs_beside_the_service(tag: str, status: str) -> None:
    """The same release again, or another one: a second container of the service is stopped, also when it is the one
    that a rollback would restore, and the plan says so before."""
    world = serving(2, FREE, "1", "2")
    old = next(c for c in world.hosts[1].containers.values() if c.labels[RELEASE] == "1")
    world.hosts[1].containers[old.id] = replace(old, status=status)
    report = world.deploy(tag)
    assert f"h2: {old.name} also runs there, and will be removed" in report.plan.warnings
    assert report.error is None
    assert set(world.versions) == {tag}
    world.tidy()
