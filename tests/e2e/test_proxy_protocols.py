"""What passes through a proxy besides plain requests, on a host: TLS by name, HTTP/2, gRPC, TCP, and what a balancer in
front of it says and asks."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxied import certificate, haproxy, inventory, lossless, release_echo
from tests.e2e.stage import Stage
from tests.lab.counted import Target
from tests.lab.load import Users, load
from tests.lab.load_websocket import talk
from tests.lab.process import until

SHOP, OTHER, CALLS = "shop.example.com", "other.example.com", "calls.example.com"
HEALTH = "/.relman/health"
USERS = Users(new=1, kept=1, uploads=1, slow=1, http2=1, pause=0.05)
LIES = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.com"}


class World:
    """One host with three environments of one service behind its proxy: by a host name, by gRPC, and by a port."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.host = stage.lab.hosts[0]
        self.image = haproxy(stage, 1)
        self.authorities = [certificate(stage, "shop", SHOP, CALLS), certificate(stage, "other", OTHER)]
        (stage.home / "page.html").write_text("<p>back soon")
        self.trusted: list[str] = []

    def apply(self) -> str:
        """Make the proxy as the inventory says now."""
        routes = {
            "production": {"hosts": [SHOP]},
            "calls": {"hosts": [CALLS]},
            "lines": {"listen": 6000},
        }
        groups = {
            name: {"hosts": {self.host.name: None}, "vars": {"relman_routes": {"demo": route}}}
            for name, route in routes.items()
        }
        home = self.stage.home
        secrets = {name: {"file": str(home / name / "pem")} for name in ("shop", "other")}
        said = {
            "keep_alive": "2s",
            "certificates": [*secrets],
            "health": HEALTH,
            "trusted": self.trusted,
            "page": str(home / "page.html"),
        }
        inventory(self.stage, self.image, proxy=said, variables={"groups": groups, "relman_secrets": secrets})
        return self.stage.relman("proxy", "apply", "-e", "production").out

    @property
    def ca(self) -> Path:
        """Who is trusted by users."""
        made = self.stage.home / "authorities.pem"
        made.write_text("".join(path.read_text() for path in self.authorities))
        return made

    def target(self, name: str = SHOP, path: str = "/") -> Target:
        """Users of TLS."""
        return Target(self.host.address, 443, name, path, self.ca)

    def ask(self, path: str, name: str = SHOP, *, tls: bool = True, **headers: str) -> tuple[int, str, str]:
        """The status, the text and the Location of an answer."""
        target = self.target(name)
        with closing(http.client.HTTPConnection(target.address, 80, timeout=10)) as connection:
            if tls:
                connection.sock = target.open()
            connection.request("GET", path, headers={"Host": name, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip(), answer.headers.get("Location", "")

    def asked(self, *, tls: bool = True) -> Mapping[str, Any]:
        """What the service sees of somebody who says a lot."""
        status, text, _ = self.ask("/asked", tls=tls, **LIES)
        assert status == 200, text
        found: Mapping[str, Any] = json.loads(text)
        return found

    def serial(self) -> str:
        """The number of the certificate that users of the shop get."""
        with closing(self.target().open()) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            return str((connection.getpeercert() or {})["serialNumber"])


@pytest.fixture
def world(stage: Stage) -> World:
    """Its proxy runs, and routes nothing yet."""
    made = World(stage)
    made.apply()
    return made


def test_tls_by_name_and_what_a_balancer_says(world: World) -> None:
    """Each name gets its certificate, and no other name any; plain requests are redirected; headers of strangers are
    dropped, and those of a trusted balancer are not. A certificate, a release and the proxy itself are replaced, which
    users of TLS, HTTP/2, uploads, slow answers and WebSockets do not notice. Its health, and a page for maintenance."""
    stage, proxy = world.stage, {"port": 8080, "response_timeout": "2s"}
    release_echo(stage, "web-1", "web-2", deploy={"ports": [], "proxy": proxy})
    stage.deploy("web-1")
    assert world.ask("/version")[:2] == (200, "web-1")
    assert world.ask("/", OTHER)[:2] == (404, "not found")
    with pytest.raises(ssl.SSLError):
        world.ask("/", "unknown.example.com")
    assert world.ask("/version?a=b", tls=False)[::2] == (308, f"https://{SHOP}/version?a=b")

    own = stage.lab.layout.gateway
    seen = world.asked()
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"], seen.get("x-forwarded-host")) == (own, "https", None)
    assert world.ask("/version", tls=False, **LIES)[0] == 308
    world.trusted = [f"{own}/32"]
    assert "loaded its new configuration" in world.apply()
    seen = world.asked(tls=False)
    assert seen["x-forwarded-for"] == f"203.0.113.9, {own}"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("https", "evil.example.com")

    before = world.serial()
    world.authorities.append(certificate(stage, "renewed", SHOP, CALLS))
    target = world.target()
    with load(target, users=USERS) as counted, talk(replace(target, path="/talk")) as sockets:
        until(lambda: counted.requests > 30, "requests")
        (stage.home / "shop/pem").write_bytes((stage.home / "renewed/pem").read_bytes())
        assert "loaded its new configuration" in world.apply()
        until(lambda: world.serial() != before, "the renewed certificate")
        stage.deploy("web-2")
        world.image = haproxy(stage, 2)
        assert "was replaced" in world.apply()
        stage.rollback()
    lossless(counted, "web-1", "web-2")
    assert {"new", "kept", "upload", "slow", "http2", "http2 upload", "http2 slow"} <= set(counted.kinds)
    assert (sockets.failures, set(sockets.answers)) == ([], {"web-1", "web-2"})

    assert world.ask(HEALTH, "anybody", tls=False)[:2] == (200, "ok")
    stage.relman("maintenance", "on", "-e", "production")
    assert world.ask("/version")[:2] == (503, "<p>back soon")
    stage.relman("maintenance", "off", "-e", "production")
    assert world.ask("/version")[:2] == (200, "web-1")
    with world.host.engine() as engine:
        (found,) = [c["Id"] for c in engine.containers() if "proxy" not in c["Names"][0]]
        engine.stop(found, timeout=2)
    until(lambda: world.ask(HEALTH, "anybody", tls=False)[:2] == (503, "no server"), "its health to fail", 15)
    assert world.ask("/version")[:2] == (503, "<p>back soon")


@contextmanager
def calling(world: World) -> Iterator[dict[str, int]]:
    """gRPC's own client calls the service during the block; then how many calls each release has answered is there."""
    image = str(world.stage.repository.tag("call-1"))
    program = ["python3", "/app/calls.py", "call", f"{world.host.address}:443", CALLS]
    env = {**world.stage.env, "CA": world.ca.read_text()}
    argv = ["/usr/bin/docker", "run", "--rm", "--interactive", "--env", "CA", image, *program]
    client = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said: dict[str, int] = {}
    try:
        yield said
    finally:
        out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err.decode()
    said |= json.loads(out)


def test_grpc_and_tcp(world: World) -> None:
    """A gRPC service changes under its calls and streams, and a service on a port of the host under new connections;
    none fails, nor does a request over TCP."""
    stage = world.stage
    release_echo(
        stage,
        "call-1",
        "call-2",
        deploy={
            "ports": [],
            "command": ["python3", "/app/calls.py", "serve"],
            "proxy": {"port": 8080, "protocol": "h2c", "response_timeout": "2s"},
            "health": {"tcp": {"port": 8080}, "window": "0.5s"},
        },
    )
    line = {"ports": [], "proxy": {"port": 8080, "protocol": "tcp", "response_timeout": "2s"}}
    release_echo(stage, "line-1", "line-2", deploy=line)
    for environment, name in (("calls", "call"), ("lines", "line")):
        stage.relman("deploy", f"{name}-1", "-e", environment, "--yes")
    lines = Target(world.host.address, 6000, "anybody", "/")
    with calling(world) as said, load(lines, users=Users(new=2, kept=0, uploads=0)) as counted:
        until(lambda: counted.requests > 30, "requests")
        for environment, name in (("calls", "call"), ("lines", "line")):
            stage.relman("deploy", f"{name}-2", "-e", environment, "--yes")
            stage.relman("rollback", "-e", environment, "--yes")
    lossless(counted, "line-1", "line-2")
    assert set(said) == {"call-1", "call-2"}
