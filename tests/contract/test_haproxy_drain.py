"""How long a real HAProxy is waited for: slow clients to their end, endless connections to the limit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from relman.hosts.haproxy import MasterCli, Processes
from relman.rollout.proxy.drain import drain
from tests.contract.test_haproxy_master import Real, started
from tests.lab import haproxies
from tests.lab.process import until

BACKEND = "production:shop"


class Watched:
    """A master, and how often its workers were asked."""

    def __init__(self, cli: MasterCli) -> None:
        self._cli, self.asked = cli, 0

    def processes(self) -> Processes | None:
        """As it says."""
        return self._cli.processes()

    def sessions(self, worker: int, backend: str) -> Mapping[str, int] | None:
        """As it says, counted."""
        self.asked += 1
        return self._cli.sessions(worker, backend)


@pytest.fixture(params=haproxies.SUITES)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Real]:
    """HAProxy, in each version."""
    with started(request.param, tmp_path) as made:
        yield made


@contextmanager
def under_way(real: Real, head: bytes) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client, and the server that has read this from him, when another configuration is loaded."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", real.backend)))
        listening.settimeout(30)
        client = stack.enter_context(socket.create_connection(("127.0.0.1", real.port)))
        client.sendall(head)
        server = stack.enter_context(listening.accept()[0])
        for each in (client, server):
            each.settimeout(30)
        until(lambda: b"\r\n\r\n" in server.recv(4096), "the request")
        yield client, server


def reloaded(real: Real) -> None:
    """Another configuration, and its worker."""
    real.write("next")
    real.cli.reload()
    until(lambda: (found := real.cli.processes()) and found.old, "an old worker")


@contextmanager
def draining(real: Real, *, idle: float) -> Iterator[None]:
    """A drain that still waits when the block begins, and has ended when it is left."""
    cli, over = Watched(real.cli), threading.Event()

    def wait() -> None:
        drain(cli, BACKEND, {"shop-2"}, idle=idle, limit=60.0, meanwhile=int, require=int)
        over.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: cli.asked > 3, "questions")
    assert not over.is_set()
    yield
    waiting.join(60)
    assert over.is_set()


def worker_of(real: Real) -> int:
    """The process that accepts connections."""
    (worker,) = until(real.cli.processes, "an answer").workers
    return worker


def test_a_slow_client_is_waited_for(real: Real) -> None:
    """His upload goes on with the old container; when it is answered, nothing is waited for any more."""
    head = b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab"
    with under_way(real, head) as (client, server):
        reloaded(real)
        with draining(real, idle=0.1):
            client.sendall(b"cd")
            until(lambda: server.recv(4096).endswith(b"cd"), "the rest")
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            assert until(lambda: client.recv(4096), "the answer").endswith(b"ok")


def test_who_is_connected_and_has_asked_nothing_yet_is_waited_for(real: Real) -> None:
    """As browsers connect before they have a request: its first one goes to the old container."""
    with (
        socket.create_server(("127.0.0.1", real.backend)) as listening,
        socket.create_connection(("127.0.0.1", real.port)) as client,
    ):
        until(lambda: real.cli.connections(worker_of(real)), "its connection")
        reloaded(real)
        with draining(real, idle=60.0):
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with listening.accept()[0] as server:
                server.sendall(b"HTTP/1.0 200 OK\r\n\r\nok")
            assert until(lambda: client.recv(4096), "the answer").endswith(b"ok")
            client.close()


def test_a_websocket_lasts_for_the_limit(real: Real) -> None:
    """It is open until then, and the deployment does not wait for its end."""
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-"
    head = b"GET / HTTP/1.1\r\nHost: shop\r\n" + upgrade + b"Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with under_way(real, head) as (client, server):
        accepted = upgrade + b"Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        server.sendall(b"HTTP/1.1 101 Switching Protocols\r\n" + accepted)
        assert b" 101 " in client.recv(4096)
        reloaded(real)
        cli = Watched(real.cli)
        drain(cli, BACKEND, {"shop-2"}, idle=0.1, limit=1.0, meanwhile=int, require=int)
        assert cli.asked > 1
        server.sendall(b"still there")
        assert client.recv(4096) == b"still there"
        drain(cli, BACKEND, {"shop-1"}, idle=60.0, limit=60.0, meanwhile=int, require=int)
    until(lambda: (found := real.cli.processes()) and not found.old, "its end")
