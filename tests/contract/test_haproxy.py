"""What relman writes for HAProxy, judged by each version of HAProxy that it is tested with."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from relman.config.inventory.proxy import host_proxy, routes
from relman.config.schema.deploy import Deploy
from relman.hosts.state_dir import files
from relman.model.proxy import Acme, Backend, Certificate, HostProxy, Server, ServiceRoute
from relman.model.proxy_settings import Https, Protocol, ProxySettings
from relman.model.settings import Health
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.haproxy_cfg import CERTIFICATES, ETC, RUN, rendered
from relman.rollout.proxy.page import MOST, Page
from tests.lab import haproxies, pki
from tests.lab.counted import Target
from tests.lab.doors import free_port
from tests.lab.load import Users, load
from tests.lab.process import until
from tests.lab.serving import serving

PAGE = Page(b"<p>soon" + b" " * (MOST - 7))
CERTIFICATE = Certificate("shop", "0" * 64, (), "", "")
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
PATH = st.just("/") | st.lists(st.from_regex(r"[A-Za-z0-9._~-]{1,8}", fullmatch=True), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
SECONDS = st.integers(1, 10**6)


@pytest.fixture(scope="module", params=haproxies.SUITES)
def haproxy(request: pytest.FixtureRequest) -> str:
    """The program, in one version after the other."""
    return haproxies.program(request.param)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, for HAProxy's files."""
    made = tmp_path_factory.mktemp("haproxy")
    pki.make_ca(made / "pki", "127.0.0.1", "shop.example.com")
    (made / "certs").mkdir()
    (made / PAGE.file).write_bytes(PAGE.response)
    pem = b"".join((made / "pki" / name).read_bytes() for name in ("server.crt", "server.key"))
    (made / "certs" / CERTIFICATE.file).write_bytes(pem)
    listed = state(HostProxy("haproxy", certificates=("pem",)), ())
    (made / "certs" / listed.list_of_certificates).write_text(f"{made}/certs/{CERTIFICATE.file}\n")
    return made


def state(proxy: HostProxy, backends: Sequence[Backend]) -> ProxyState:
    """What a host routes, with the certificate that is in the place."""
    certificates = (CERTIFICATE,) if proxy.certificates else ()
    return ProxyState(proxy, "", tuple(backends), certificates, page=PAGE.file)


def written(place: Path, text: str) -> Path:
    """The file, with its directories in this place."""
    file = place / "haproxy.cfg"
    file.write_text(
        text.replace(f"{CERTIFICATES}/", f"{place}/certs/")
        .replace(f"{ETC}/", f"{place}/")
        .replace(f"{RUN}/", f"{place}/")
    )
    return file


def complaints(haproxy: str, place: Path, text: str) -> str:
    """What HAProxy says against a file, warnings included."""
    done = subprocess.run([haproxy, "-c", "-f", written(place, text)], capture_output=True, text=True)
    return (
        f"exit {done.returncode}: {done.stdout}{done.stderr}\n{text}" if done.returncode or "[" in done.stderr else ""
    )


@st.composite
def deploys(draw: st.DrawFn) -> tuple[ProxySettings, Health]:
    """Any deploy.proxy and deploy.health that a relman.yml can say."""
    response = draw(SECONDS)
    said = {"port": draw(st.integers(1, 65535)), "protocol": draw(st.sampled_from(["http", "h2c"]))}
    said |= {"https": draw(st.sampled_from([str(each) for each in Https])), "response_timeout": response}
    http = {
        "port": draw(st.integers(1, 65535)),
        "path": draw(st.from_regex(r"/[A-Za-z0-9._~/?=&+,:;@%-]{0,12}", fullmatch=True)),
        "host": draw(HOST),
        "headers": draw(
            st.dictionaries(st.just("X-Word"), st.from_regex(r"[A-Za-z0-9._~/?=&+,:;@*-]+", fullmatch=True))
        ),
    }
    health = draw(st.sampled_from([{"http": http}, {"tcp": {"port": 1}}, {"none": True}]))
    found = Deploy.model_validate({"proxy": said, "health": health}).settings()
    assert found.proxy
    return found.proxy, found.health


@st.composite
def environments(draw: st.DrawFn) -> tuple[HostProxy, list[Backend]]:
    """Any proxy and routes that an inventory can say, with whatever images say of the services behind them."""
    names = draw(st.lists(LABEL, unique=True, min_size=1, max_size=4))
    said = {name: {"hosts": [f"{name}.{draw(HOST)}", f"{name}.example.com"], "path": draw(PATH)} for name in names}
    proxy = {
        "image": "registry.example.com/haproxy:3.2",
        "trusted": draw(st.sampled_from([[], ["10.0.0.0/8", "fd00::/8"]])),
        "health": draw(PATH),
        "keep_alive": draw(SECONDS),
    }
    servers = tuple(Server(f"web-{n}", f"172.19.0.{n}") for n in range(2, draw(st.integers(2, 4))))
    found = routes(said)
    backends = []
    for name in names:
        settings, health = draw(deploys())
        hold = draw(st.sampled_from([0.0, 30.0]))
        backends.append(Backend("production", name, found[name], settings, health, servers, hold))
    certificates: tuple[str, ...] = draw(st.sampled_from([(), ("pem",)]))
    return replace(host_proxy(proxy), certificates=certificates, https=draw(st.sampled_from([443, 8443]))), backends


@bounds(max_examples=40, deadline=None)
@given(found=environments())
def test_whatever_files_can_say_is_good_for_haproxy(
    haproxy: str, place: Path, found: tuple[HostProxy, list[Backend]]
) -> None:
    """What passes relman's patterns is no error to HAProxy, and no warning."""
    proxy, backends = found
    tcp = Backend(
        "production", "of-tcp", ServiceRoute(listen=6000), ProxySettings(6000, Protocol.TCP), Health(), hold=5.0
    )
    assert complaints(haproxy, place, rendered(state(proxy, [*backends, tcp]))) == ""


class _Echo(BaseHTTPRequestHandler):
    """Says what it was asked, and which service it is."""

    def do_GET(self) -> None:
        said = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        body = json.dumps({**said, "port": self.connection.getsockname()[1], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Once(_Echo):
    """Ends each connection with the second request on it, as a service does that grows tired of waiting just then."""

    protocol_version = "HTTP/1.1"
    asked = False

    def do_GET(self) -> None:
        if self.asked:
            self.close_connection = True
            return
        self.asked = True
        super().do_GET()


def test_a_service_that_closes_idle_connections_loses_no_request(haproxy: str, place: Path) -> None:
    """Users keep their connections to the proxy, and it keeps none to the service: nothing is sent on one that the
    service is just closing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Once)
    proxy = HostProxy("haproxy", http=free_port())
    text = rendered(state(proxy, [behind("shop", server.server_port, ServiceRoute(("shop.example.com",)))]))
    with serving(server), running(haproxy, place, text, proxy.http):
        with load(Target("127.0.0.1", proxy.http, "shop.example.com"), users=Users(new=0, kept=4)) as counted:
            until(lambda: counted.requests > 100, "requests")
        assert counted.failures == []


@pytest.fixture(scope="module")
def services() -> Iterator[list[int]]:
    """The ports of three services."""
    with ExitStack() as stack:
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Echo) for _ in range(3)]
        for server in servers:
            stack.enter_context(serving(server))
        yield [server.server_port for server in servers]


def behind(name: str, port: int, route: ServiceRoute, https: Https = Https.OFF) -> Backend:
    """A service at this port of the machine."""
    return Backend("test", name, route, ProxySettings(port, https=https), Health(), (Server(name, "127.0.0.1"),))


@contextmanager
def running(haproxy: str, place: Path, text: str, port: int) -> Iterator[None]:
    """HAProxy with this file, in the foreground, until the end."""

    def listens() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    process = subprocess.Popen([haproxy, "-db", "-f", written(place, text)], stdout=subprocess.DEVNULL)
    try:
        until(listens, "HAProxy to listen")
        yield
    finally:
        process.terminate()
        process.wait()


def test_requests_go_where_the_environment_says(haproxy: str, place: Path, services: list[int]) -> None:
    """By host name and by whole parts of the path, the longer path first; with who asked, whatever he says of himself;
    and nowhere where nothing is routed."""
    shop, api, other = services
    proxy = HostProxy("haproxy", http=free_port(), health="/up")
    backends = [
        behind("shop", shop, ServiceRoute(("shop.example.com",))),
        behind("api", api, ServiceRoute(("shop.example.com",), "/api", strip_prefix=True)),
        behind("secure", other, ServiceRoute(("secure.example.com",)), Https.REDIRECT),
    ]

    def ask(host: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.http, timeout=5)) as connection:
            connection.request("GET", path, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            body = answer.read()
        said = json.loads(body) if body.startswith(b"{") else {}
        return answer.status, {**said, "location": answer.headers.get("Location", "")}

    with running(haproxy, place, rendered(state(proxy, backends)), proxy.http):
        lies = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "Forwarded": "for=1.2.3.4"}
        status, said = ask("SHOP.example.com:80", "/apix?a=b", lies)
        assert (status, said["port"], said["path"]) == (200, shop, "/apix?a=b")
        assert (said["x-forwarded-for"], said["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert "forwarded" not in said
        for path, inside in (("/api", "/"), ("/api/", "/"), ("/api/v1?x", "/v1?x"), ("/api/api/x", "/api/x")):
            status, said = ask("shop.example.com", path)
            assert (status, said["port"], said["path"], said["x-forwarded-prefix"]) == (200, api, inside, "/api")
        assert ask("other.example.com", "/")[0] == 404
        assert ask("secure.example.com", "/")[0] == 200, "there is no TLS to send anybody to"
        assert ask("any.name", "/up")[0] == 200
    trusting = replace(proxy, trusted=("127.0.0.0/8",))
    with running(haproxy, place, rendered(state(trusting, backends)), proxy.http):
        status, said = ask("secure.example.com", "/x")
        assert (status, said["location"]) == (308, "https://secure.example.com/x")
        status, said = ask("secure.example.com", "/x", {"X-Forwarded-Proto": "https", "X-Forwarded-For": "1.2.3.4"})
        assert (status, said["port"], said["x-forwarded-proto"]) == (200, other, "https")
        assert said["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    nobody = [*backends, replace(behind("gone", 1, ServiceRoute(("gone.example.com",))), servers=())]
    with running(haproxy, place, rendered(state(proxy, nobody)), proxy.http):
        assert ask("any.name", "/up")[0] == 503, "a service that is routed has no server"
        assert ask("gone.example.com", "/")[0] == 503
    absent = [replace(backends[0], maintenance=True), *backends[1:]]
    with running(haproxy, place, rendered(state(proxy, absent)), proxy.http):
        assert ask("shop.example.com", "/")[0] == 503
        assert ask("shop.example.com", "/api")[0] == 200, "the other service is there"


def test_a_thousand_services_are_within_every_limit(haproxy: str, place: Path) -> None:
    """Of HAProxy, and of the files that relman reads from a host."""
    many = [
        replace(
            behind(f"service-{n}", 8080, ServiceRoute((f"service-{n}.example.com",))),
            servers=tuple(Server(f"service-{n}-production-20260101-{at}", f"172.19.{n % 250}.{at}") for at in (2, 3)),
        )
        for n in range(1000)
    ]
    found = state(HostProxy("haproxy", health="/up"), many)
    assert complaints(haproxy, place, rendered(found)) == ""
    assert max(len(files.encode(found.to_json())), len(rendered(found))) < files.LARGEST


def test_a_route_has_as_many_host_names_as_it_wants(haproxy: str, place: Path, services: list[int]) -> None:
    """And as many networks are trusted: HAProxy reads 64 words of a line."""
    names = tuple(f"{'n' * 60}-{n}.example.com" for n in range(200))
    trusted = tuple(f"10.{n}.0.0/16" for n in range(200))
    acme = Acme("https://acme.example.com", "account")
    proxy = HostProxy("haproxy", http=free_port(), certificates=("pem",), https=free_port())
    backend = behind("shop", services[0], ServiceRoute(names, "/shop"))
    redirected = behind("other", services[1], ServiceRoute(names), Https.REDIRECT)
    for found in (proxy, replace(proxy, trusted=trusted), replace(proxy, acme=acme)):
        assert complaints(haproxy, place, rendered(state(found, [backend, redirected]))) == ""

    def ask(host: str) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.http, timeout=5)) as connection:
            connection.request("GET", "/shop", headers={"Host": host})
            return connection.getresponse().status

    with running(haproxy, place, rendered(state(proxy, [backend])), proxy.http):
        assert [ask(name) for name in (names[0], names[-1], "n.example.com")] == [200, 200, 404]
