"""Deployments behind a proxy, on hosts in memory: at no moment would a request reach nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from relman.model.errors import PreflightFailed, RolledBack
from relman.model.plan import Result
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import DeploySettings, Process, RunSettings
from relman.rollout.progress import Report
from tests.unit.model_fleet import World, serving
from tests.unit.model_host import ModelHost
from tests.unit.model_proxy import CONFIG
from tests.unit.values import FREE, HEALTH, PROXIED

WEB = RunSettings(health=HEALTH, proxy=PROXIED.proxy)
TWO = DeploySettings(
    health=HEALTH, processes=(Process("web", 2, WEB), Process("worker", 1, RunSettings(health=HEALTH)))
)


@pytest.mark.parametrize("settings", [PROXIED, TWO], ids=["one", "several"])
def test_deployments_and_rollbacks_leave_no_moment_without_an_answer(settings: DeploySettings) -> None:
    """The proxy names the new containers when they are healthy, and the old ones stop after that; back the same way."""
    world = serving(2, settings, "1")
    assert world.versions == ["1", "1"]
    steps: list[tuple[Callable[[], Report], str]] = [
        (partial(world.deploy, "2"), "2"),
        (world.rollback, "1"),
        (partial(world.deploy, "3"), "3"),
    ]
    for command, release in steps:
        world.before(0, lambda _: None)
        assert command().error is None
        assert (world.versions, world.dark) == ([release, release], 0)
        world.tidy()


def test_a_failure_leaves_no_moment_without_an_answer() -> None:
    """What was changed before goes back, without anybody noticing."""
    world = serving(2, PROXIED, "1")
    world.hosts[1].sick = frozenset({"2"})
    before = world.state()
    world.before(0, lambda _: None)
    assert isinstance(world.deploy("2").error, RolledBack)
    assert (world.versions, world.dark) == (["1", "1"], 0)
    assert world.state() == before


def test_a_configuration_that_does_not_load_changes_nothing() -> None:
    """HAProxy refuses it, or its new worker does not come up: the old containers serve on, the files are as before."""
    for fault in ("refusing", "broken"):
        world = serving(1, PROXIED, "1")
        before = world.state()
        proxy = world.hosts[0].proxy
        assert proxy
        setattr(proxy, fault, True)
        world.before(0, lambda _: None)
        report = world.deploy("2")
        assert isinstance(report.error, RolledBack), report.error
        assert "HAProxy" in report.told["h1"].what
        assert (world.dark, world.state()) == (0, before)


def test_without_a_proxy_nothing_changes() -> None:
    """It is said what to type."""
    world = serving(1, PROXIED, "1")
    world.hosts[0].proxy = None
    before = world.state()
    with pytest.raises(PreflightFailed) as caught:
        world.deploy("2")
    assert "relman proxy apply" in caught.value.details[0]
    assert world.state() == before


def test_a_service_moves_to_the_proxy_and_back() -> None:
    """From a container that the proxy does not know, and back to it: then nothing is routed any more."""
    world = World(1, PROXIED)
    assert world.deploy("1", FREE).error is None
    assert world.versions == ["-"], "no request comes by the proxy"
    assert world.deploy("2").error is None
    assert world.versions == ["2"]
    world.tidy()
    assert world.rollback().error is None
    assert world.versions == ["-"]
    assert b"backend production:shop" not in world.hosts[0].files[CONFIG][0]


def test_a_route_that_changes_is_deployed() -> None:
    """The same release with another host name; a rollback restores the name, too."""
    world = serving(1, PROXIED, "1")
    world.routed = ("www.example.com",)
    assert [o.result for o in world.deploy("1").outcomes] == [Result.CHANGED]
    assert b"www.example.com" in world.hosts[0].files[CONFIG][0]
    assert [o.result for o in world.deploy("1").outcomes] == [Result.UNCHANGED]
    assert world.rollback().error is None
    assert b"www.example.com" not in world.hosts[0].files[CONFIG][0]


def test_a_service_that_is_removed_is_routed_no_more() -> None:
    """Before its containers stop; what else the proxy routes stays."""
    world = serving(1, PROXIED, "1")
    assert world.remove().error is None
    proxy = world.hosts[0].proxy
    assert proxy
    assert "production:shop" not in proxy.loaded
    assert world.hosts[0].containers == {}


def test_the_old_containers_stop_when_their_last_request_has_ended() -> None:
    """As long as an old worker of the proxy has one; not when other services still have some with it."""
    world = serving(1, PROXIED, "1")
    (host,) = world.hosts
    (old,) = (c.name for c in host.running)
    proxy = host.proxy
    assert proxy
    proxy.busy = {f"production:shop/{old}": 3, "production:chat/chat-1": 1000}
    left = list[int]()
    world.before(0, lambda _: None)
    step = host.step

    def noted(changed: ModelHost) -> None:
        step(changed)
        left.extend(counts[f"production:shop/{old}"] for counts in proxy.old.values())

    host.step = noted
    assert world.deploy("2").error is None
    assert left[0] == 3, "no change waits before the reload is seen to be done"
    assert left[-1] <= 0, "the old container stops when it has none left"
    assert proxy.old, "the other service's connection lasts"


def test_an_endless_request_ends_with_the_drain_timeout() -> None:
    """A deployment ends all the same."""
    settings = replace(PROXIED, proxy=ProxySettings(8080, response_timeout=0.1))
    world = serving(1, settings, "1")
    (host,) = world.hosts
    (old,) = (c.name for c in host.running)
    assert host.proxy
    host.proxy.busy = {f"production:shop/{old}": 10**6}
    assert world.deploy("2").error is None
    assert host.proxy.old
    assert [c.name for c in host.running] != [old]
