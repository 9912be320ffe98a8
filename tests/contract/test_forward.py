"""A port of the host's loopback that leads to this machine, against a real sshd. Here both are one machine: what is
offered listens on 127.0.0.2, and sshd on 127.0.0.1."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from relman.docker.engine import Engine
from relman.hosts.ssh.connection import Connection, connect
from relman.hosts.ssh.port_forward import ForwardRefused, LoopbackPort, forwarded
from relman.model.errors import PullFailed, Unreachable
from relman.model.host import Host, SshOptions
from relman.model.image import Repository
from relman.rollout.fleet import Session
from relman.rollout.images.registry_offer import pulled
from tests.lab.doors import Sshd, free_port, sshd
from tests.lab.process import end, run, until
from tests.lab.serving import serving

LOAD = b"\x16" + os.urandom(8 << 20)  # as TLS begins, which is not looked into
EXPECTED = LOAD + hashlib.sha256(LOAD).digest()
HERE = "127.0.0.2"
OUTSIDE = "198.51.100.77"


@contextmanager
def sending(sock: socket.socket) -> Iterator[None]:
    """Send the load while the block runs; an end that goes away is no error."""

    def send() -> None:
        with contextlib.suppress(OSError):
            sock.sendall(LOAD)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def received(sock: socket.socket, most: int) -> bytes:
    """What comes until the end, or until there is that much."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while len(got) < most and (data := sock.recv(min(1 << 16, most - len(got)))):
            got += data
    return bytes(got)


class _Digests(socketserver.BaseRequestHandler):
    """Sends the load, and then the digest of as much that it was sent meanwhile."""

    def handle(self) -> None:
        """One connection."""
        with sending(self.request):
            got = received(self.request, len(LOAD))
        with contextlib.suppress(OSError):
            self.request.sendall(hashlib.sha256(got).digest())


@pytest.fixture
def place() -> Iterator[LoopbackPort]:
    """What is offered."""
    server = socketserver.ThreadingTCPServer((HERE, 0), _Digests)
    server.daemon_threads = True
    with serving(server):
        yield LoopbackPort(HERE, "127.0.0.1", server.server_address[1])


class _Asked(http.server.BaseHTTPRequestHandler):
    """A registry that notes what it is asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Any request."""
        self.asked.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[tuple[list[str], LoopbackPort]]:
        """Let it run, and see what it was asked."""
        cls.asked.clear()
        server = http.server.ThreadingHTTPServer((HERE, 0), cls)
        with serving(server):
            yield cls.asked, LoopbackPort(HERE, "127.0.0.1", server.server_address[1])


for _method in ("HEAD", "PUT", "POST", "DELETE"):
    setattr(_Asked, f"do_{_method}", _Asked.do_GET)


@contextmanager
def connected(tmp_path: Path, *lines: str) -> Iterator[tuple[Sshd, Connection]]:
    """A connection to an sshd with these lines of sshd_config(5)."""
    with sshd(tmp_path / "sshd", *lines) as server:
        (tmp_path / "known_hosts").write_text(server.known_hosts)
        connection = connect(Host("h1", server.hop()), SshOptions((str(tmp_path / "known_hosts"),)))
        try:
            yield server, connection
        finally:
            connection.close()


def exchange(place: LoopbackPort) -> bytes:
    """What comes back for the load, sent and received at once."""
    with socket.create_connection((place.address, place.port), 30) as sock, sending(sock):
        return received(sock, len(EXPECTED))


@dataclass(frozen=True)
class _Elsewhere(LoopbackPort):
    """Leads to another port: an sshd that takes all addresses leaves none for what is offered."""

    target: LoopbackPort

    def connected(self) -> socket.socket:
        """A connection to the target."""
        return self.target.connected()


def answer(client: http.client.HTTPConnection, method: str, body: bytes | None = None) -> bytes:
    """What a registry answers."""
    client.request(method, "/v2/shop/manifests/1", body)
    return client.getresponse().read()


def refused(address: str, port: int) -> bool:
    """Whether a connection brings nothing: refused, or closed at once."""
    try:
        with socket.create_connection((address, port), 5) as sock:
            return sock.recv(1) == b""
    except ConnectionError:
        return True


def test_carries_both_ways_and_is_gone_afterwards(tmp_path: Path, place: LoopbackPort) -> None:
    """Several connections at once carry what they are given in full, both ways at the same time. Nothing listens after
    the block, connections that were open are closed, no thread is left, and it can be offered again."""
    with connected(tmp_path) as (_, connection):
        for _ in range(2):
            with forwarded(connection, place) as forward:
                with ThreadPoolExecutor(4) as pool:
                    assert all(got == EXPECTED for got in pool.map(lambda _: exchange(place), range(4)))
                idle = socket.create_connection((place.address, place.port), 30)
                until(lambda: forward.came == 5, "the fifth connection")
            with idle:
                assert len(received(idle, len(EXPECTED))) <= len(LOAD)
            assert refused(place.address, place.port)
            until(lambda: not [t for t in threading.enumerate() if t.name == "forward"], "the threads to end")


def test_gatewayports_lets_nobody_in_from_outside(tmp_path: Path, place: LoopbackPort) -> None:
    """Where sshd listens on all addresses although it was asked for loopback, others get nothing."""
    run("ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo")
    try:
        with connected(tmp_path, "GatewayPorts yes") as (_, connection):
            offered = _Elsewhere(HERE, "127.0.0.1", free_port(), place)
            with forwarded(connection, offered) as forward:
                assert (refused(OUTSIDE, offered.port), forward.came) == (True, 0)
                assert (refused("127.0.0.1", offered.port), forward.came) == (False, 1)
    finally:
        run("ip", "address", "del", f"{OUTSIDE}/32", "dev", "lo")


@pytest.mark.parametrize("line", ["AllowTcpForwarding no", "AllowTcpForwarding local", "PermitListen none"])
def test_sshd_may_refuse(tmp_path: Path, place: LoopbackPort, line: str) -> None:
    """It is said, and the connection goes on."""
    with connected(tmp_path, line) as (_, connection):
        with pytest.raises(ForwardRefused), forwarded(connection, place):
            pass
        assert connection.sftp().normalize("/") == "/"


def test_a_port_that_is_taken_is_refused(tmp_path: Path, place: LoopbackPort) -> None:
    """What listens there is left alone."""
    with (
        connected(tmp_path) as (_, connection),
        socketserver.TCPServer((place.address, place.port), _Digests),
        pytest.raises(ForwardRefused),
        forwarded(connection, place),
    ):
        pass


def test_nobody_at_this_end(tmp_path: Path, place: LoopbackPort) -> None:
    """A connection that cannot be carried further is closed, and why is kept."""
    nobody = LoopbackPort("127.0.0.3", "127.0.0.1", place.port)
    with connected(tmp_path) as (_, connection), forwarded(connection, nobody) as forward:
        assert refused(nobody.address, nobody.port)
        assert forward.refused == f"127.0.0.3:{place.port} on this machine: Connection refused"


def test_nobody_writes(tmp_path: Path) -> None:
    """Requests that only read arrive, several on one connection; one that writes ends it."""
    with connected(tmp_path) as (_, connection), _Asked.listening() as (asked, place):
        with forwarded(connection, place):
            client = http.client.HTTPConnection(place.address, place.port, timeout=10)
            for method in ("GET", "HEAD", "GET"):
                assert answer(client, method) == (b"" if method == "HEAD" else b"{}")
            for method, body in (("PUT", b"x"), ("POST", None), ("DELETE", None), ("GET", b"x")):
                with pytest.raises((http.client.HTTPException, ConnectionError)):
                    answer(client, method, body)
                client.close()
        assert asked == ["GET", "HEAD", "GET"]


def test_a_lost_connection(tmp_path: Path, place: LoopbackPort) -> None:
    """Whoever is connected is let go, the block ends in peace, and the next one says that the host is gone."""
    with connected(tmp_path) as (server, connection):
        with forwarded(connection, place), socket.create_connection((place.address, place.port), 30) as sock:
            for pid in server.sessions():
                end(pid)
            assert len(received(sock, len(EXPECTED))) <= len(LOAD)
            until(lambda: not connection.alive, "the connection to be lost")
        with pytest.raises(Unreachable), forwarded(connection, place):
            pass


def test_who_leaves_in_the_middle_of_an_answer_ends_nothing_else(tmp_path: Path, place: LoopbackPort) -> None:
    """sshd ends a connection on which data comes for a channel that both sides closed; so none does."""
    with connected(tmp_path) as (_, connection), forwarded(connection, place):
        for _ in range(300):
            with socket.create_connection((place.address, place.port), 30) as sock:
                assert sock.recv(1)
        assert exchange(place) == EXPECTED


def test_anothers_offer_is_used_and_may_end(
    tmp_path: Path, place: LoopbackPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another relman offers its registry on the host, the pull goes there; where that ends in the middle, our own
    is offered in its place."""
    monkeypatch.setattr("relman.rollout.images.registry_offer.place_of", lambda _: place)
    source = Repository("localhost:5000", "shop")
    pulls = []

    def pull() -> None:
        pulls.append(refused(place.address, place.port))
        if len(pulls) == 2:
            other.close()
        if pulls[-1] or len(pulls) == 2:
            raise PullFailed("unexpected EOF", host="h1")

    with connected(tmp_path) as (server, connection):
        other = connect(Host("h1", server.hop()), SshOptions((str(tmp_path / "known_hosts"),)))
        session = Session(connection.host, connection, Engine(connection))
        with forwarded(other, place):
            pulled(session, source, None, pull)
            assert pulls == [False]
            pulled(session, source, None, pull)
        assert (pulls[:2], pulls[-1]) == ([False, False], False)
