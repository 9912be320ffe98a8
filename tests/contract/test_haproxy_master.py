"""HAProxy's master is understood: the same facts hold of the real one and of the simulator of the tests in memory."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast
from unittest.mock import ANY

import pytest

from relman.hosts.haproxy import MasterCli
from relman.hosts.ssh.connection import ChannelRefused
from tests.lab import haproxies
from tests.lab.doors import free_port
from tests.lab.process import until
from tests.unit.model_fleet import World
from tests.unit.model_host import ModelConnection
from tests.unit.model_proxy import CONFIG
from tests.unit.values import PROXIED


class Master(Protocol):
    """A master, and the file that it reads."""

    cli: MasterCli

    def write(self, name: str, *, good: bool = True) -> None:
        """Another file, whose description is this name."""


def fails(master: Master) -> None:
    """Let it load its file in vain: it says so itself, or counts it."""
    if master.cli.reload() is None:
        until(lambda: (found := master.cli.processes()) and found.failed, "a failure")


class Simulated:
    """The simulator."""

    def __init__(self) -> None:
        (self._host,) = World(1, PROXIED).hosts
        self.cli = MasterCli(cast(Any, ModelConnection(self._host)), "master-1.sock")

    def write(self, name: str, *, good: bool = True) -> None:
        """Another file."""
        assert self._host.proxy
        self._host.proxy.broken = not good
        self._host.files[CONFIG] = (f"global\n  description {name}\n".encode(), 0.0)


class Channel:
    """A Unix socket of this machine as a channel."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ChannelRefused("nobody listens") from error
        self.send, self.recv = self._socket.send, self._socket.recv
        self.settimeout, self.close = self._socket.settimeout, self._socket.close

    def shutdown_write(self) -> None:
        """Nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)


@dataclass
class Real:
    """HAProxy on this machine, in front of a server that answers when it is let."""

    place: Path
    port: int
    backend: int
    cli: MasterCli

    def write(self, name: str, *, good: bool = True) -> None:
        """Another file."""
        text = f"""global
  description {name}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend http
  bind 127.0.0.1:{self.port}
  default_backend production:shop
backend production:shop
  server shop-1 127.0.0.1:{self.backend}
"""
        (self.place / "haproxy.cfg").write_text(text if good else f"{text}  no such keyword\n")


@contextmanager
def started(version: str, tmp_path: Path) -> Iterator[Real]:
    """The real one."""
    haproxy = haproxies.program(version)
    path = tmp_path / "master.sock"
    connection = SimpleNamespace(
        unix=lambda _: Channel(path), patience=5.0, alive=True, gone="gone", host=SimpleNamespace(name="h1")
    )
    made = Real(tmp_path, free_port(), free_port(), MasterCli(cast(Any, connection), str(path)))
    made.write("first")
    argv = [haproxy, "-W", "-db", "-S", f"{path},mode,600", "-f", str(tmp_path / "haproxy.cfg")]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: made.cli.description() == "first", "HAProxy to start")
        yield made
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=haproxies.SUITES)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Real]:
    """The real one, in each version."""
    with started(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=["simulated", *haproxies.SUITES])
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Master]:
    """Either."""
    if request.param == "simulated":
        yield Simulated()
        return
    with started(request.param, tmp_path) as made:
        yield made


def test_a_reload_is_a_new_worker_and_a_failed_one_is_noticed(master: Master) -> None:
    """The worker that was there stays when a file cannot be loaded, and says so, however often that happens."""
    master.write("one")
    master.cli.reload()
    until(lambda: master.cli.description() == "one", "the first file")
    first = until(master.cli.processes, "an answer")
    assert (len(first.workers), first.failed) == (1, 0)
    master.write("two")
    master.cli.reload()
    until(lambda: (found := master.cli.processes()) and found.workers - first.workers, "a new worker")
    assert master.cli.description() == "two"
    second = until(master.cli.processes, "an answer")
    master.write("three", good=False)
    for _ in range(2):
        fails(master)
        assert until(master.cli.processes, "an answer") == replace(second, failed=ANY, reloads=ANY)
        assert master.cli.description() == "two"
    master.write("four")
    assert master.cli.reload() is not False
    until(lambda: (found := master.cli.processes()) and found.workers - second.workers, "a new worker")
    assert until(master.cli.processes, "an answer").failed == 0
    assert master.cli.description() == "four"


def test_an_old_worker_says_what_it_still_does_until_it_has_done_it(real: Real) -> None:
    """A request that is under way is one session of its server; when it is answered, the worker ends."""
    with socket.create_server(("127.0.0.1", real.backend)) as server:
        answered = threading.Event()

        def ask() -> None:
            with socket.create_connection(("127.0.0.1", real.port)) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while client.recv(4096):
                    pass
            answered.set()

        asking = threading.Thread(target=ask)
        asking.start()
        connection, _ = server.accept()
        real.write("next")
        real.cli.reload()
        until(lambda: (found := real.cli.processes()) and found.old, "an old worker")
        (old,) = until(real.cli.processes, "an answer").old
        assert real.cli.sessions(old, "production:shop") == {"shop-1": 1}
        assert not answered.is_set()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        asking.join()
        until(lambda: (found := real.cli.processes()) and not found.old, "its end")
        until(lambda: real.cli.sessions(old, "production:shop") == {}, "an answer without it")
