"""What users saw is counted by HAProxy itself, over reloads; and it writes one line of JSON for each request."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relman.hosts.haproxy import MasterCli
from relman.model.proxy import Backend, HostProxy, Server, ServiceRoute
from relman.model.proxy_settings import Https, ProxySettings
from relman.model.settings import Health
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.build import has_metrics
from relman.rollout.proxy.haproxy_cfg import RUN, loaded_as, rendered
from relman.rollout.proxy.users import UserCount
from tests.contract.test_haproxy_master import Channel
from tests.lab import haproxies
from tests.lab.doors import free_port
from tests.lab.process import until
from tests.lab.serving import serving

SHOP, NAME = "test:shop", "shop.example.com"


class _Shop(BaseHTTPRequestHandler):
    """Answers as its path says."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the proxy's checks hang up
            super().handle()

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(0.4)
        if self.path.startswith("/never"):
            self.close_connection = True
            return
        self.send_response(500 if self.path.startswith("/bad") else 200)
        broken = self.path.startswith("/broken")
        self.send_header("Content-Length", "100" if broken else "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.close_connection = broken

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass
class Proxy:
    """HAProxy with its master, in front of a shop."""

    place: Path
    state: ProxyState
    connection: Any

    @property
    def master(self) -> MasterCli:
        """Its command line."""
        return MasterCli(self.connection, str(self.place / "master-1.sock"))

    def write(self, state: ProxyState) -> str:
        """Its file; returns the description in it."""
        text = rendered(state)
        (self.place / "haproxy.cfg").write_text(text.replace(f"{RUN}/", f"{self.place}/"))
        return loaded_as(text)

    def reload(self, keep_alive: float) -> None:
        """Load another file, with this time in it."""
        self.state = replace_keep_alive(self.state, keep_alive)
        meant = self.write(self.state)
        self.master.reload()
        until(lambda: self.master.description() == meant, "the other file")

    def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> int:
        """The status of an answer, 0 for none, or half of one."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.state.proxy.http, timeout=5)) as connection:
            try:
                connection.request(method, path, headers={"Host": NAME, **(headers or {})})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return 0
            return answer.status

    def lines(self) -> list[dict[str, Any]]:
        """What it wrote of requests; each such line is JSON."""
        text = (self.place / "out").read_text(errors="strict")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def replace_keep_alive(state: ProxyState, seconds: float) -> ProxyState:
    """The same with another time."""
    return replace(state, proxy=replace(state.proxy, keep_alive=seconds))


@contextmanager
def running(version: str, place: Path, state: ProxyState) -> Iterator[Proxy]:
    """The proxy with its master."""
    haproxy = haproxies.program(version)
    connection = SimpleNamespace(
        unix=lambda path: Channel(Path(path)), patience=5.0, alive=True, gone="gone", host=SimpleNamespace(name="h1")
    )
    proxy = Proxy(place, state, connection)
    meant = proxy.write(state)
    argv = [haproxy, "-W", "-db", "-S", f"{place}/master-1.sock,mode,600", "-f", str(place / "haproxy.cfg")]
    with (place / "out").open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL)
    try:
        until(lambda: proxy.master.description() == meant, "HAProxy to start")
        yield proxy
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=haproxies.SUITES)
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before a shop, in each version."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    with serving(server):
        settings = ProxySettings(server.server_port, https=Https.OFF)
        shop = Backend("test", "shop", ServiceRoute((NAME,)), settings, Health(), (Server("shop-1", "127.0.0.1"),))
        state = ProxyState(HostProxy("haproxy", http=free_port(), keep_alive=1.0), "", (shop,))
        with running(request.param, tmp_path, state) as made:
            yield made


def counting(proxy: Proxy, backend: str = SHOP) -> UserCount:
    """A count that has begun."""
    count = UserCount(proxy.connection, backend, proxy.master, str(proxy.place / "count-1.sock"))
    count._safely(count._begin)
    return count


def counted(count: UserCount) -> tuple[int, int]:
    """Requests and failures."""
    found = count.read()
    assert found
    return found.requests, found.failed


def test_what_users_saw_is_counted(proxy: Proxy) -> None:
    """Each request once; what fails are answers of 5xx, the service's and the proxy's, and those that are broken off;
    a client that does not wait, a missing page and what was before do not."""
    proxy.ask("/bad")
    count = counting(proxy)
    assert counted(count) == (0, 0)
    assert [proxy.ask("/") for _ in range(20)] == [200] * 20
    assert counted(count) == (20, 0)
    assert proxy.ask("/bad") == 500
    assert proxy.ask("/never") == 502
    assert counted(count) == (22, 2)
    assert proxy.ask("/broken") == 0
    assert counted(count) == (23, 3)
    with socket.create_connection(("127.0.0.1", proxy.state.proxy.http)) as client:
        client.sendall(f"GET /slow HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    until(lambda: counted(count)[0] == 24, "the end of what nobody waits for")
    assert counted(count) == (24, 3)
    traffic = count.read()
    assert traffic
    assert sum(traffic.times) in (23, 24)
    assert traffic.p99 is not None
    assert traffic.p99 <= 2
    count.close()


def test_no_request_is_lost_by_reloads(proxy: Proxy) -> None:
    """An old worker is held until it has been read, and then ends by itself; one that was not met makes the count
    unknown instead of wrong; so does the proxy's end."""
    count = counting(proxy)
    stop, asked = threading.Event(), [0]

    def use() -> None:
        while not stop.is_set():
            assert proxy.ask("/") == 200
            asked[0] += 1

    user = threading.Thread(target=use)
    user.start()
    slow = threading.Thread(target=proxy.ask, args=("/slow",))
    slow.start()
    for number in range(5):
        proxy.reload(2.0 + number)
        count.follow()
    stop.set()
    user.join()
    slow.join()
    assert counted(count) == (asked[0] + 1, 0)

    def ended() -> bool:
        count.follow()
        found = proxy.master.processes()
        return bool(found and not found.old)

    until(ended, "the old workers' end")
    assert counted(count) == (asked[0] + 1, 0)
    traffic = count.read()
    assert traffic
    assert sum(traffic.times) == asked[0] + 1
    for number in range(2):
        proxy.reload(12.0 + number)
    until(lambda: (found := proxy.master.processes()) and len(found.old) < 2, "the end of one that nobody holds")
    assert count.read() is None
    until(lambda: (found := proxy.master.processes()) and not found.old, "the end of what was held")


def test_a_line_is_json_whatever_a_request_says(proxy: Proxy) -> None:
    """Quotes, backslashes, brackets and bytes of no text in path, host and method; long ones are cut; and nothing is
    written that may be secret."""
    secret = "s3cret"
    nasty = "/a\"b\\/\\\\/c]d'e{f}%22%0a%[src]%ci<>|~"
    assert proxy.ask(f"{nasty}?token={secret}", {"Authorization": secret, "Cookie": f"a={secret}"}) == 200
    assert proxy.ask("/" + "x" * 3000) == 200
    asked = f'GET /\xff\xfe"\xc3\xa4 HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n'.encode("latin1")
    odd = f'G"\\ET / HTTP/1.1\r\nHost: a"b\\\xff.{NAME}\r\nConnection: close\r\n\r\n'.encode("latin1")
    for line in (asked, odd, b"\x16\x03\x01nonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", proxy.state.proxy.http), timeout=5) as client:
            client.sendall(line)
            while client.recv(4096):
                pass

    def of_shop() -> dict[str, dict[str, Any]]:
        return {line["path"]: line for line in proxy.lines() if line["service"] == SHOP}

    long = "/" + "x" * 511
    until(lambda: {nasty, long} <= of_shop().keys(), "both lines")
    logged = of_shop()[nasty]
    assert logged.keys() >= {"time", "client", "tls", "http", "method", "host", "status", "end", "server", "total"}
    assert (logged["status"], logged["server"], logged["host"], logged["client"]) == (200, "shop-1", NAME, "127.0.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", logged["time"])
    assert '"path":"/xxx' in (proxy.place / "out").read_text()
    assert secret not in (proxy.place / "out").read_text()
    assert all(isinstance(line, dict) for line in proxy.lines())


@pytest.mark.parametrize("version", haproxies.SUITES)
def test_metrics_are_on_loopback_if_the_build_has_them(version: str, tmp_path: Path) -> None:
    """As haproxy -vv says; nobody else reaches them, and requests for them are not logged."""
    said = subprocess.run([haproxies.program(version), "-vv"], capture_output=True, text=True, check=True).stdout
    assert has_metrics(said.splitlines())
    host = HostProxy("haproxy", http=free_port(), metrics=free_port())
    with running(version, tmp_path, ProxyState(host, "")) as proxy:
        assert host.metrics
        with closing(http.client.HTTPConnection("127.0.0.1", host.metrics, timeout=5)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        assert "haproxy_process_uptime_seconds" in {family.name for family in text_string_to_metric_families(text)}
        with socket.create_server(("127.0.0.2", host.metrics)):
            pass
        assert proxy.lines() == []
