"""What serves is told before it stops, whatever comes of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from relman.config.deploy import resolve
from relman.model.errors import ConfigError, RolledBack
from relman.model.settings import DeploySettings, PreStop
from relman.rollout.progress import Report
from tests.unit.model_fleet import serving
from tests.unit.values import FREE, PORT, PROXIED

DRAIN = PreStop(command=("drain",))


def settings(**said: object) -> DeploySettings:
    """Of a deploy section."""
    return resolve({"pre_stop": said}, {}, {}, origin="a test")


@pytest.mark.parametrize("kind", [FREE, PORT, PROXIED], ids=["free", "port", "proxied"])
def test_the_old_container_is_told_while_it_still_serves(kind: DeploySettings) -> None:
    """Once, before it stops, by the settings that it was deployed with: first or last to stop, in a deployment and in a
    rollback."""
    world = serving(1, replace(kind, pre_stop=DRAIN), "1")
    (host,) = world.hosts
    other = replace(kind, pre_stop=PreStop(command=("new",)))
    commands: list[Callable[[], Report]] = [partial(world.deploy, "2", other), world.rollback]
    for command in commands:
        (old,) = (c.name for c in host.running)
        host.asked.clear()
        assert command().error is None
        assert [name for name, _ in host.asked] == [old]
    assert host.asked[0][1] == ("new",), "the rollback tells what served before it"


def test_what_fails_there_keeps_nothing_from_stopping() -> None:
    """The command is not in the image: the deployment goes on."""
    world = serving(1, replace(FREE, pre_stop=PreStop(command=("fails",))), "1")
    assert world.deploy("2").error is None
    assert world.versions == ["2"]


def test_a_deployment_that_goes_back_tells_nobody() -> None:
    """What comes back comes at once."""
    world = serving(1, replace(FREE, pre_stop=DRAIN), "1")
    (host,) = world.hosts
    host.sick = frozenset({"2"})
    assert isinstance(world.deploy("2").error, RolledBack)
    assert host.asked == []


def test_what_is_removed_is_told_too() -> None:
    """A balancer may still send it requests."""
    world = serving(1, replace(FREE, pre_stop=DRAIN), "1")
    assert world.remove().error is None
    assert [argv for _, argv in world.hosts[0].asked] == [("drain",)]


def test_what_can_be_said() -> None:
    """A request or a command, and a time."""
    assert settings(http={"port": 80, "path": "/drain"}, wait="5s").pre_stop == PreStop(80, "/drain", wait=5.0)
    assert settings(command=["drain"]).pre_stop == DRAIN
    assert settings(wait="2s").pre_stop == PreStop(wait=2.0)
    for wrong in ({}, {"http": {"port": 80}, "command": ["x"]}, {"http": {"path": "/"}}):
        with pytest.raises(ConfigError):
            settings(**wrong)
