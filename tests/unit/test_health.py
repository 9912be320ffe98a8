"""Who is asked for a container's health, how, and what counts as an answer."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relman.app.playbooks.checks import check_http
from relman.ci.testing.inside import InsideProbe
from relman.ci.testing.readiness import answers_http
from relman.config.deploy import as_tested, resolve
from relman.hosts.docker.creation import creation, health_config
from relman.hosts.docker.engine import Engine
from relman.model.container import Container, RunSpec
from relman.model.errors import CannotAsk, CheckFailed, ConfigError, PreflightFailed
from relman.model.image import ImageId
from relman.model.playbook import Http
from relman.model.service import Wait
from relman.model.settings import DeploySettings, Health, Healthcheck, Port, Probe
from relman.model.strategy import Check
from relman.rollout import local_commands
from relman.rollout.fleet import Session
from relman.rollout.looking.askable import own_address, why_mute
from relman.rollout.planning.planner import plan_rollback
from relman.rollout.planning.preflight import check as check_plan
from relman.rollout.planning.preflight import check_health
from tests.lab.serving import serving
from tests.unit import fake_ssh
from tests.unit.test_planner import ASKED, CHECKED, deploy, release, seen
from tests.unit.values import deployed

TOOLS = ("curl", "python3", "wget", "busybox")
HTTP = DeploySettings(health=Health(Probe.HTTP, 8080))


@dataclass
class Site:
    """A server that redirects whoever names its Host, to where nothing is."""

    server: HTTPServer
    asked: list[str]

    @property
    def port(self) -> int:
        """Its port."""
        return self.server.server_port


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """A site."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            known = self.headers["Host"] == "shop.example.com" and self.headers["X-Word"] == "a b"
            self.send_response(404 if self.path == "/nothing" else 302 if known or self.path == "/open" else 400)
            self.send_header("Location", "/nothing")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield Site(server, asked)


@pytest.fixture
def site(served: Site) -> Site:
    """A site that nobody has asked yet."""
    served.asked.clear()
    return served


class _Here:
    """An engine whose containers are this machine, with one program and a shell's own words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._argv: Sequence[str] = ()
        self._code = 0

    def exec_create(self, _container: str, argv: Sequence[str]) -> Mapping[str, str]:
        """Remember it."""
        self._argv = argv
        return {"Id": "e"}

    def exec_start(self, _id: str, *, detach: bool) -> None:
        """Run it."""
        assert detach
        self._code = subprocess.run(self._argv, env={"PATH": str(self._path)}, check=False).returncode

    def exec_inspect(self, _id: str) -> Mapping[str, Any]:
        """It has ended."""
        return {"Running": False, "ExitCode": self._code}


def inside(path: Path, port: int, wait: Wait) -> bool:
    """What is said when it is asked inside a container that has the programs in `path`."""
    client: Any = _Here(path)
    now: Any = SimpleNamespace(address="127.0.0.1")
    return InsideProbe(client, "c", port, wait)(now)


@pytest.mark.parametrize("tool", ["", *TOOLS])
def test_a_redirect_is_an_answer_and_the_host_that_is_given_is_asked_for(tool: str, site: Site, tmp_path: Path) -> None:
    """From here and by every program that an image may have: 302 is good, and nobody follows it; 400 is not."""
    where = shutil.which(tool) if tool else ""
    if where is None:
        pytest.skip(f"this machine has no {tool}")
    if where:
        found = subprocess.run([where, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        real = found.stdout.strip() if tool == "python3" else where
        (tmp_path / tool).symlink_to(real)
    wait = Wait(http_port=site.port, http_path="/x", http_host="shop.example.com", http_headers={"X-Word": "a b"})

    def asked(each: Wait) -> bool:
        return inside(tmp_path, site.port, each) if tool else answers_http("127.0.0.1", site.port, each)

    assert asked(wait)
    assert not asked(replace(wait, http_headers={}))
    assert not asked(replace(wait, http_host="", http_path="/nothing"))
    assert site.asked == ["/x", "/x", "/nothing"]


def test_an_image_with_nothing_to_ask_with(site: Site, tmp_path: Path) -> None:
    """Is said to have nothing."""
    with pytest.raises(CannotAsk, match="curl, python3, wget or nc"):
        inside(tmp_path, site.port, Wait(http_port=site.port))


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: local_commands.ask(Check(url=url, timeout=0.1), {}, threading.Event()),
        lambda url: check_http(Http(url), 0.1, lambda _: None),
    ],
)
def test_a_canary_s_check_and_a_playbook_s_follow_the_same_rule(ask: Callable[[str], None], site: Site) -> None:
    """302 is good, and nobody follows it; 400 is not."""
    ask(f"http://127.0.0.1:{site.port}/open")
    with pytest.raises(CheckFailed, match="400"):
        ask(f"http://127.0.0.1:{site.port}/closed")
    assert set(site.asked) == {"/open", "/closed"}


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
    with pytest.raises(PreflightFailed, match="cannot be asked") as caught:
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
