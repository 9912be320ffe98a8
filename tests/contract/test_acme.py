"""Certificates by ACME, judged by Pebble, the test server of Let's Encrypt."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509

from relman.hosts.state_dir import proxy as kept
from relman.model.errors import CertificateRefused, Failure, PreflightFailed, Unreachable
from relman.model.proxy import Acme, Backend, Challenge, HostProxy, ServiceRoute
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import Health
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.acme.authority import Authority
from relman.rollout.acme.certify import CertificateGroup, Certified, certify, conclude
from relman.rollout.acme.issued import held, lacking
from relman.rollout.proxy.certificates import read_certificate
from relman.rollout.proxy.haproxy_cfg import CERTIFICATES, certificate_list, rendered
from relman.rollout.state.locks import new_lock
from tests.contract.test_haproxy import running
from tests.lab.doors import free_port
from tests.lab.pebble import REFUSED, Pebble, pebble
from tests.lab.serving import serving
from tests.unit.certificates import NOW, certificate, key_pem, pem
from tests.unit.model_fleet import ModelFleet, Quiet, World
from tests.unit.values import PROXIED

ACCOUNT = key_pem()
NAME = "shop.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One that asks a port of this machine for its challenges."""
    with pebble(tmp_path_factory.mktemp("pebble"), asked=free_port()) as made:
        yield made


@contextmanager
def answering(place: Path, port: int, *challenges: Challenge) -> Iterator[None]:
    """HAProxy as a host runs it; it redirects the name to HTTPS, and is in maintenance."""
    route = ServiceRoute((NAME,))
    behind = Backend("test", "shop", route, ProxySettings(8080), Health(), maintenance=True)
    proxy = HostProxy("haproxy", http=port, trusted=("10.0.0.0/8",), health="/")
    with running("haproxy", place, rendered(ProxyState(proxy, "", (behind,), challenges=challenges)), port):
        yield


def test_a_certificate_is_issued_where_the_proxy_answers(authority: Pebble, tmp_path: Path) -> None:
    """Whatever else it says of this name: a redirect, a path for checks, maintenance. The account is found again, and
    each order has a key of its own."""
    authority.leads(NAME)
    keys = set()
    for _ in range(2):
        found = Authority.open(authority.acme, ACCOUNT)
        order = found.order(NAME)
        assert order.challenge
        with answering(tmp_path, authority.asked, order.challenge):
            found.answered(order)
            pem = found.certificate(order)
        made = read_certificate(NAME, pem, datetime.now(UTC) + timedelta(seconds=1))
        assert (made.hosts, made.covers(NAME)) == ((NAME,), True)
        assert pem.count(b"BEGIN CERTIFICATE") == 2, "the chain is in it"
        assert not made.is_to_renew(datetime.now(UTC))
        assert made.is_to_renew(datetime.now(UTC) + timedelta(days=61))
        keys.add(order.key)
    assert len(keys) == 2


def test_a_host_serves_more_certificates_than_a_line_has_words(tmp_path: Path) -> None:
    """Each by its name."""
    names = [f"n{number}.example.com" for number in range(70)]
    pems = {name: pem(name, serial=number + 1) for number, name in enumerate(names)}
    certificates = tuple(read_certificate(name, text, NOW) for name, text in pems.items())
    proxy = HostProxy("haproxy", http=free_port(), https=free_port())
    state = ProxyState(proxy, "", certificates=certificates)
    (tmp_path / "certs").mkdir()
    for each in certificates:
        (tmp_path / "certs" / each.file).write_bytes(pems[each.name])
    listed = certificate_list(state).replace(CERTIFICATES, f"{tmp_path}/certs")
    (tmp_path / "certs" / state.list_of_certificates).write_text(listed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with running("haproxy", tmp_path, rendered(state), proxy.https):
        for number in (0, 69):
            with (
                socket.create_connection(("127.0.0.1", proxy.https), 5) as made,
                context.wrap_socket(made, server_hostname=names[number]) as spoken,
            ):
                assert x509.load_der_x509_certificate(spoken.getpeercert(True) or b"").serial_number == number + 1


def refusal(authority: Pebble, name: str, place: Path | None = None) -> Failure:
    """Why there is no certificate for this name, with a proxy that answers what was not asked, or none."""
    found = Authority.open(authority.acme, ACCOUNT)

    def tried() -> None:
        order = found.order(name)
        assert order.challenge
        with ExitStack() as stack:
            if place:
                stack.enter_context(answering(place, authority.asked, replace(order.challenge, token="other")))
            found.answered(order)
            found.certificate(order)

    with pytest.raises(CertificateRefused) as caught:
        tried()
    return caught.value


def test_a_refusal_says_what_the_authority_says(authority: Pebble, tmp_path: Path) -> None:
    """A name that it may not serve; one that DNS does not know; one that leads to nobody, or to somebody else."""
    assert "policy" in refusal(authority, REFUSED).what
    assert "unknown.example.com" in refusal(authority, "unknown.example.com").what
    authority.leads(NAME)
    nobody = refusal(authority, NAME)
    assert "refused" in nobody.what
    assert "DNS" in nobody.hint
    elsewhere = refusal(authority, NAME, tmp_path)
    assert "404" in elsewhere.what or "503" in elsewhere.what, elsewhere.what
    assert "DNS" in elsewhere.hint


def test_an_authority_that_cannot_be_spoken_to_is_named(authority: Pebble) -> None:
    """Nobody there, another CA, no directory; and a key that is none is not shown."""
    gone = replace(authority.acme, directory=f"https://127.0.0.1:{free_port()}/dir")
    with pytest.raises(Unreachable, match="no answer from https://127") as silent:
        Authority.open(gone, ACCOUNT)
    assert silent.value.hint == "Connection refused"
    with pytest.raises(Unreachable, match="is not trusted") as foreign:
        Authority.open(replace(authority.acme, ca=""), ACCOUNT)
    assert "relman_proxy.acme.ca" in foreign.value.hint
    for path in ("", "nonce-plz"):
        with pytest.raises(CertificateRefused, match=r"127\.0\.0\.1"):
            Authority.open(replace(authority.acme, directory=f"https://127.0.0.1:{authority.port}/{path}"), ACCOUNT)
    for bad in (b"secret", certificate("a"), ACCOUNT + ACCOUNT, key_pem(password=b"secret")):
        with pytest.raises(PreflightFailed, match="acme-account is no key of an ACME account") as caught:
            Authority.open(authority.acme, bad)
        assert "secret" not in str(caught.value).replace("the secret acme-account", "")


class _Busy(BaseHTTPRequestHandler):
    """An authority that takes no orders for now, or whose clock is another one's."""

    behind: ClassVar[timedelta] = timedelta()

    def date_time_string(self, _timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) - self.behind, usegmt=True)

    def do_GET(self) -> None:
        here = f"https://127.0.0.1:{self.headers['Host'].rpartition(':')[2]}"
        self._say(200, {each: f"{here}/{each}" for each in ("newNonce", "newAccount", "newOrder")})

    def do_HEAD(self) -> None:
        self._say(200, {})

    def do_POST(self) -> None:
        if self.path == "/newAccount":
            self._say(201, {"status": "valid"}, Location="https://127.0.0.1/account")
            return
        said = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"}
        self._say(429, said, **{"Retry-After": "7200"})

    def _say(self, status: int, body: object, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Replay-Nonce": "AAAA", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if self.command != "HEAD" else b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def busy(authority: Pebble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Acme]:
    """It, with Pebble's own certificate."""
    monkeypatch.setattr(_Busy, "behind", timedelta())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.directory / "pki" / "server.crt", authority.directory / "pki" / "server.key")
    server = HTTPServer(("127.0.0.1", 0), _Busy)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield replace(authority.acme, directory=f"https://127.0.0.1:{server.server_port}/dir")


def test_a_rate_limit_says_when_to_try_again(busy: Acme) -> None:
    """As the authority says it."""
    with pytest.raises(CertificateRefused, match="too many certificates") as caught:
        Authority.open(busy, ACCOUNT).order(NAME)
    assert "7200 s" in caught.value.hint
    assert caught.value.rate_limited


def test_a_clock_that_is_wrong_is_said(busy: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's decides what is to be renewed."""
    monkeypatch.setattr(_Busy, "behind", timedelta(hours=2))
    with pytest.raises(PreflightFailed, match="the clock of this machine is wrong"):
        Authority.open(busy, ACCOUNT)


def test_every_host_gets_what_one_order_issues(tmp_path: Path) -> None:
    """A name that is refused keeps nothing from the others; the hosts have one certificate, and no challenge any more;
    where one of them lacks it, all get a new one; where the authority is gone, all stays."""
    world = World(2, PROXIED)
    fleet, holder, quiet = ModelFleet(world.hosts), new_lock(world.asked(), "certifying"), Quiet()
    with pebble(tmp_path, PEBBLE_VA_ALWAYS_VALID="1") as authority:
        group = CertificateGroup(authority.acme, ACCOUNT, {"h1": (NAME, "www.example.com"), "h2": (NAME, REFUSED)})

        def renewed(now: datetime) -> tuple[Certified, tuple[str, ...], list[set[str]]]:
            names = lacking(group.wanted, fleet.each(held).all("looking"), now)
            found = certify(fleet, group, names, holder, quiet)
            states = [kept.read(session.connection) for session in fleet.sessions.values()]
            assert all(state and not state.challenges for state in states)
            return found, names, [{c.file for c in state.certificates} for state in states if state]

        found, names, first = renewed(datetime.now(UTC))
        assert names == (NAME, "www.example.com", REFUSED)
        assert [c.name for c in found.issued] == [NAME, "www.example.com"]
        assert ("policy" in found.refused[REFUSED].what, len(found.refused)) == (True, 1)
        assert (len(first[0]), len(first[1]), len(first[0] & first[1])) == (2, 1, 1)
        assert lacking(group.wanted, fleet.each(held).all("looking"), datetime.now(UTC)) == (REFUSED,)
        (gone,) = (path for path in world.hosts[1].files if path.endswith(".pem"))
        del world.hosts[1].files[gone]
        found, names, second = renewed(datetime.now(UTC))
        assert names == (NAME, REFUSED)
        assert (len(second[0] & second[1]), len(second[0] & first[0])) == (1, 1)
        found, names, third = renewed(datetime.now(UTC) + timedelta(days=61))
        assert (len(names), third[0] & second[0]) == (3, set())
    found, names, fourth = renewed(datetime.now(UTC) + timedelta(days=61))
    assert ({type(each) for each in found.refused.values()}, found.issued, fourth) == ({Unreachable}, [], third)
    with pytest.raises(CertificateRefused, match="no new certificate") as caught:
        conclude(found.refused, fleet.each(held).all("looking"), datetime.now(UTC), changed=False)
    assert any("the one before is good until" in line for line in caught.value.details), caught.value.details
