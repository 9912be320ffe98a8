"""Who is asked for a container's health, how, and what counts as an answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from relman.config.deploy import as_tested, resolve
from relman.docker.creation import creation, health_config
from relman.docker.engine import Engine
from relman.model.container import Container, RunSpec
from relman.model.errors import ConfigError, PreflightFailed
from relman.model.image import ImageId
from relman.model.settings import DeploySettings, Health, Healthcheck, Port, Probe
from relman.rollout.fleet import Session
from relman.rollout.looking.askable import own_address, why_mute
from relman.rollout.planning.planner import plan_rollback
from relman.rollout.planning.preflight import check as check_plan
from relman.rollout.planning.preflight import check_health
from tests.unit import fake_ssh
from tests.unit.test_planner import ASKED, CHECKED, deploy, release, seen
from tests.unit.values import deployed

HTTP = DeploySettings(health=Health(Probe.HTTP, 8080))


@pytest.mark.parametrize(
    ("networks", "addresses", "address"),
    [
        ((), {"bridge": "172.17.0.2"}, "172.17.0.2"),
        ((), {"podman": "10.88.0.2"}, "10.88.0.2"),
        ((), {"a": "10.0.0.1", "bridge": "172.17.0.2"}, "172.17.0.2"),
        ((), {"a": "10.0.0.1", "b": "10.0.1.1"}, ""),
        ((), {}, ""),
        (("b", "a"), {"a": "10.0.0.1", "b": "10.0.1.1"}, "10.0.1.1"),
        (("b", "a"), {"a": "10.0.0.1"}, ""),
        (("default",), {"bridge": "172.17.0.2"}, "172.17.0.2"),
        (("none",), {"none": ""}, ""),
        (("host",), {"host": ""}, "127.0.0.1"),
    ],
)
def test_the_address_that_is_asked(networks: tuple[str, ...], addresses: Mapping[str, str], address: str) -> None:
    """Of several networks the first that is named; none that is not known to be its own."""
    container = Container("c" * 64, "c", ImageId(fake_ssh.IMAGE), "running", addresses=addresses)
    assert own_address(container, DeploySettings(networks=networks)) == address


def mute(settings: DeploySettings, info: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """Why it cannot be asked on an engine that says this of itself and of its networks."""
    answers = {"/info": {**fake_ssh.INFO, **info}, "/networks/": network}
    said = {part: json.dumps(answer).encode() for part, answer in answers.items()}
    opened = fake_ssh.connection(fake_ssh.Fault(), lambda path: next(said[part] for part in said if part in path))
    try:
        return why_mute(Session(opened.host, opened, Engine(opened)), settings)
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("settings", "info", "network", "why"),
    [
        (HTTP, {}, {"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}}, ""),
        (HTTP, {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}, {}, "rootless"),
        (replace(HTTP, networks=("lan", "x")), {}, {"Driver": "macvlan"}, "macvlan network lan"),
        (replace(HTTP, networks=("lan",)), {}, {"Driver": "overlay"}, "overlay network lan"),
        (replace(HTTP, networks=("none",)), {}, {}, "no address"),
        (DeploySettings(health=Health(Probe.COMMAND, command=("x",)), networks=("none",)), {}, {}, ""),
    ],
)
def test_where_a_host_does_not_reach_its_containers(
    settings: DeploySettings, info: Mapping[str, Any], network: Mapping[str, Any], why: str
) -> None:
    """By what its engine says of itself, and of the first network."""
    found = mute(settings, info, network)
    assert why in found
    assert bool(found) is bool(why)


def test_a_deployment_is_refused_where_health_cannot_be_asked_and_a_rollback_says_so_once() -> None:
    """A rollback is planned to do without; the hosts that say the same are named together."""
    new, old = deployed("118", settings=CHECKED), deployed("117", settings=CHECKED)
    fleet = [seen(f"h{i}", old, new) for i in range(3)]
    whys = {"h0": "why", "h2": "why"}
    with pytest.raises(PreflightFailed, match="cannot be checked") as caught:
        check_health(deploy(fleet, "119"), whys)
    assert caught.value.details == ("h0: why", "h2: why")
    plan = check_health(plan_rollback(ASKED, fleet), whys)
    assert [(s.unasked, s.entry.verified) for s in plan.steps] == [("why", False), ("", True), ("why", False)]
    assert [w for w in plan.warnings if "on h0 and h2: why" in w] == [plan.warnings[-1]]


def test_what_an_engine_is_told_of_the_check() -> None:
    """Nothing, where nothing is said; 0 would be the image's, and so is the shortest time instead."""
    spec = RunSpec("c", "i", DeploySettings(ports=(Port(80),)), {})
    assert "Healthcheck" not in creation(spec)
    assert health_config(Healthcheck(off=True)) == {"Test": ["NONE"]}
    assert health_config(Healthcheck(start_period=0.0, retries=2)) == {"StartPeriod": 1_000_000, "Retries": 2}


@pytest.mark.parametrize(
    ("check", "image", "has"),
    [
        (None, True, True),
        (None, False, False),
        (Healthcheck(off=True), True, False),
        (Healthcheck(command=("x",)), False, True),
        (Healthcheck(interval=1.0), False, False),
        (Healthcheck(interval=1.0), True, True),
    ],
)
def test_whether_there_is_a_check_for_health_to_ask(check: Healthcheck | None, image: bool, has: bool) -> None:
    """The image's, unless it is switched off; or one of its own. Where there is none a deployment is refused."""
    settings = DeploySettings(health=Health(Probe.IMAGE), healthcheck=check)
    assert settings.has_healthcheck(image=image) is has
    fleet = [seen("h1")]
    wanted = replace(release("118"), has_healthcheck=image)
    refused = contextlib.nullcontext() if has else pytest.raises(PreflightFailed)
    with refused:
        check_plan(deploy(fleet, settings=settings), fleet, wanted)


def test_variables_of_a_health_are_filled_in() -> None:
    """At deployment by the inventory, in tests by their defaults; one that has none is named."""
    http = {"port": 8080, "host": "${site:-a.example}", "headers": {"X-Word": "${word:-b}"}}
    section = {"health": {"http": http}}
    found = resolve(section, {"site": "b.example"}, {}, origin="here").health
    assert (found.host, found.headers) == ("b.example", {"X-Word": "b"})
    tested = as_tested(section, {})[1]
    assert tested
    assert (tested.host, tested.headers) == ("a.example", {"X-Word": "b"})
    with pytest.raises(ConfigError) as caught:
        as_tested({"health": {"command": ["check", "${site}"]}}, {})
    assert "deploy.health.command[1]" in caught.value.details[0]
    with pytest.raises(ConfigError) as caught:
        resolve({"health": {"http": {"port": 1, "host": "${site}"}}}, {"site": "a\r\nb"}, {}, origin="here")
    assert "expected text of one line" in caught.value.details[0]
