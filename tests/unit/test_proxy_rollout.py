"""Deployments behind a proxy, on hosts in memory: at no moment would a request reach nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from relman.model.errors import PreflightFailed, RolledBack
from relman.model.plan import Result
from relman.model.proxy import ServiceRoute
from relman.model.proxy_settings import Protocol, ProxySettings
from relman.model.settings import DeploySettings, Mount, Order, Process, RunSettings
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import look_at
from relman.rollout.progress import Report
from relman.rollout.proxy import drain as draining
from relman.rollout.proxy import switch
from relman.rollout.proxy.container import NETWORK
from relman.rollout.proxy.haproxy_cfg import HEAD, rendered
from tests.unit.model_fleet import ModelFleet, World, serving
from tests.unit.model_host import ModelHost
from tests.unit.model_proxy import CONFIG, STATE
from tests.unit.values import FREE, HEALTH, PROXIED

WEB = RunSettings(health=HEALTH, proxy=PROXIED.proxy)
STOPS = replace(PROXIED, volumes=(Mount("data", "/data"),), proxy=ProxySettings(8080, hold=5.0))
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


def test_where_one_has_to_stop_first_its_successor_has_its_address() -> None:
    """The proxy need not be told in the gap, and lets requests wait; a reboot brings back one of both."""
    world = serving(1, STOPS, "1")
    (host,) = world.hosts
    addresses = {c.addresses[NETWORK] for c in host.running}
    for command, release in ((partial(world.deploy, "2"), "2"), (world.rollback, "1")):
        assert command().error is None
        assert {c.addresses[NETWORK] for c in host.running} == addresses
        assert world.versions == [release]
        assert "retry-on conn-failure" in host.files[CONFIG][0].decode()
        world.tidy()


def test_a_kept_container_has_no_address_that_another_one_has() -> None:
    """It gave its address to a successor that stopped it first; back beside that one it gets another."""
    world = serving(1, PROXIED, "1")
    assert world.deploy("2", replace(PROXIED, order=Order.STOP_FIRST)).error is None
    world.before(0, lambda _: None)
    assert world.rollback().error is None
    assert (world.versions, world.dark) == (["1"], 0)
    world.tidy()


def test_a_kept_container_gets_the_address_of_the_one_that_stops_for_it() -> None:
    """The proxy reaches it there before it is told."""
    world = serving(1, PROXIED, "1")
    assert world.deploy("2", replace(PROXIED, order=Order.STOP_FIRST)).error is None
    assert world.deploy("3").error is None
    addresses = [c.addresses for c in world.hosts[0].running]
    assert world.rollback().error is None
    assert [c.addresses for c in world.hosts[0].running] == addresses
    assert world.versions == ["2"]
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
    """HAProxy refuses it, does not look at it in time, or its new worker does not come up: which of these is said, the
    old containers serve on, and the files are as before."""
    for fault, said in ("refusing", "refuses"), ("slow", "did not check"), ("broken", "did not load"):
        world = serving(1, PROXIED, "1")
        before = world.state()
        proxy = world.hosts[0].proxy
        assert proxy
        setattr(proxy, fault, True)
        world.before(0, lambda _: None)
        report = world.deploy("2")
        assert isinstance(report.error, RolledBack), report.error
        assert f"HAProxy {said} the new configuration" in report.told["h1"].what
        assert (world.dark, world.state()) == (0, before)


TCP = replace(PROXIED, proxy=ProxySettings(6000, Protocol.TCP))


def no_proxy(world: World) -> None:
    """Somebody removed it."""
    world.hosts[0].proxies = {}


def no_route(world: World) -> None:
    """The inventory lost it."""
    world.routes = {}


def another_name(world: World) -> None:
    """Another environment's service has the name."""
    host = world.hosts[0]
    state = ProxyState.from_json(json.loads(host.files[STATE][0]))
    (own,) = state.backends
    other = replace(state.without(own.name).having(replace(own, environment="staging")))
    host.files[STATE] = (json.dumps(other.to_json()).encode(), 0.0)


def a_port(world: World) -> None:
    """The route has a port, and the service speaks HTTP."""
    world.routes = {"h1": ServiceRoute(listen=6000)}


@pytest.mark.parametrize(
    ("stands", "said"),
    [
        (no_proxy, "its proxy is gone: relman proxy apply"),
        (no_route, "relman_routes in the inventory has no shop"),
        (another_name, "shop.example.com/ is taken by staging:shop"),
        (a_port, "listen belongs to protocol: tcp"),
    ],
)
def test_what_stands_in_the_way_is_said_before_anything_changes(stands: Callable[[World], None], said: str) -> None:
    """By host, and with what to do."""
    world = serving(1, PROXIED, "1")
    stands(world)
    before = world.state()
    with pytest.raises(PreflightFailed) as caught:
        world.deploy("2")
    assert said in caught.value.details[0]
    assert caught.value.details[0].startswith("h1: ")
    assert world.state() == before


def test_a_port_of_the_host_that_somebody_has_is_not_taken_from_him() -> None:
    """HAProxy would answer nobody while it tries."""
    world = World(1, TCP)
    world.routes = {"h1": ServiceRoute(listen=6000)}
    world.hosts[0].thief = True
    with pytest.raises(PreflightFailed, match="the proxies cannot") as caught:
        world.deploy("1")
    assert "port 6000" in caught.value.details[0]
    world.hosts[0].thief = False
    assert world.deploy("1").error is None
    world.hosts[0].thief = True
    assert world.deploy("2").error is None, "it is the proxy's own by now"


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
    world.routes = {"h1": ServiceRoute(("www.example.com",))}
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


def test_a_new_container_that_dies_while_old_requests_end_is_not_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is still there, and gets all requests again."""
    world = serving(1, PROXIED, "1")
    (host,) = world.hosts
    before, drain = world.state(), draining.drain

    def dies(*arguments: Any, **named: Any) -> None:
        host.sick = frozenset({"2"})
        drain(*arguments, **named)

    monkeypatch.setattr(switch, "drain", dies)
    assert isinstance(world.deploy("2").error, RolledBack)
    assert world.versions == ["1"]
    assert world.state() == before


def test_an_old_container_that_dies_while_its_requests_end_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was with it is lost; the new one has all others."""
    world = serving(1, PROXIED, "1")
    (host,) = world.hosts
    drain = draining.drain

    def dies(*arguments: Any, **named: Any) -> None:
        for each in host.running[:1]:
            host.containers[each.id] = replace(each, status="exited")
        drain(*arguments, **named)

    monkeypatch.setattr(switch, "drain", dies)
    assert world.deploy("2").error is None
    assert world.versions == ["2"]
    world.tidy()


def test_a_first_deployment_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another service's connections last, with a worker that knows no container of this one."""

    def waited(_seconds: float) -> None:
        raise AssertionError

    world = World(1, PROXIED)
    proxy = world.hosts[0].proxy
    assert proxy
    proxy.busy = {"production:chat/chat-1": 10**6}
    monkeypatch.setattr(draining, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waited))
    assert world.deploy("1").error is None
    assert proxy.old
    assert world.deploy("2").error is not None, "the next one waits: connections may be idle only for now"


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


def test_a_connection_without_a_request_has_its_time_to_send_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one may take longer than one that is kept alive: as browsers connect before they have a request."""
    world = serving(1, PROXIED, "1")
    proxy = world.hosts[0].proxy
    assert proxy
    proxy.busy = {"production:chat/chat-1": 10**6}
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(waits), sleep=waits.append)
    monkeypatch.setattr(draining, "time", clock)
    assert world.deploy("2").error is None
    assert HEAD <= sum(waits) < 2 * HEAD


def test_status_says_what_no_request_reaches() -> None:
    """Its proxy is gone, stopped, loaded something else, or sends its requests to another container; all is well
    again after what status says to type."""
    world = serving(1, PROXIED, "1")
    (host,) = world.hosts
    proxy = host.proxy
    assert proxy

    def condition() -> Condition:
        return look_at(ModelFleet([host]).sessions["h1"], "production", "shop", "this").state

    assert condition() is Condition.WELL
    host.proxies = {}
    assert condition() is Condition.UNPROXIED
    host.proxies = {proxy.name: replace(proxy, status="exited")}
    assert condition() is Condition.UNPROXIED
    host.proxies = {proxy.name: replace(proxy, loaded=proxy.loaded.replace("sha256:", "sha256:0"))}
    assert condition() is Condition.UNPROXIED
    host.proxies = {proxy.name: proxy}
    another_name(world)
    proxy.restart()
    proxy.loaded = rendered(ProxyState.from_json(json.loads(host.files[STATE][0])))
    assert condition() is Condition.UNROUTED


def test_a_paused_container_behind_the_proxy_is_called_that() -> None:
    """And not one to which nothing is routed, which another command mends."""
    (host,) = serving(1, PROXIED, "1").hosts
    host.containers |= {c.id: replace(c, status="paused") for c in host.running}
    assert look_at(ModelFleet([host]).sessions["h1"], "production", "shop", "this").state is Condition.PAUSED


def test_a_restart_routes_again_what_the_proxy_has_lost() -> None:
    """As status advises."""
    world = serving(1, PROXIED, "1")
    (host,) = world.hosts
    state = ProxyState.from_json(json.loads(host.files[STATE][0]))
    host.files[STATE] = (json.dumps(state.without("production:shop").to_json()).encode(), 0.0)
    assert world.restart().error is None
    assert world.versions == ["1"]
    world.tidy()
