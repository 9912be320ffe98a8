"""A named volume that a host lacks: the plan says so, and beside compose's of that name it is refused."""

from __future__ import annotations

import pytest

from relman.model.errors import PreflightFailed
from relman.model.settings import DeploySettings
from tests.unit.model_fleet import World, serving
from tests.unit.values import PORT, VOLUME


def with_volumes(settings: DeploySettings, *names: str) -> World:
    """Two hosts, of which the second has these volumes."""
    world = World(2, settings)
    world.hosts[1].volumes |= set(names)
    return world


def test_the_plan_names_each_new_volume_with_its_host() -> None:
    """On a host that has it it is not new, and the second time on none."""
    world = with_volumes(VOLUME, "data")
    assert world.deploy("1").plan.new_volumes == (("h1", "data"),)
    assert world.deploy("2").plan.new_volumes == ()


def test_beside_compose_s_volume_none_is_made_unless_it_is_named() -> None:
    """`data` is refused where `shop_data` is, with what to write; nothing changes. `mydata` is another name."""
    world = with_volumes(VOLUME, "shop_data", "mydata")
    with pytest.raises(PreflightFailed) as refused:
        world.deploy("1")
    assert list(refused.value.details) == ["h2: the volume data would be new and empty, and there is shop_data"]
    assert "--new-volume data" in refused.value.hint
    assert not any(host.containers for host in world.hosts)
    assert world.deploy("1", new_volumes=frozenset({"data"})).error is None


def test_a_volume_that_came_later_bars_no_release_and_no_rollback() -> None:
    """What the old container has is not new, and a rollback is never prevented."""
    world = serving(1, VOLUME, "1")
    world.hosts[0].volumes.add("shop_data")
    assert world.deploy("2").error is None
    assert world.deploy("3", PORT).error is None
    world.hosts[0].volumes.discard("data")
    assert world.rollback().error is None


def test_another_volume_s_agreement_does_not_count() -> None:
    """Only the name itself."""
    with pytest.raises(PreflightFailed):
        with_volumes(VOLUME, "shop_data").deploy("1", new_volumes=frozenset({"shop_data"}))
