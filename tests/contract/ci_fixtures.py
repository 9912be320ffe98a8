"""The CI machine of the lab for the CI stages' tests, which run in its network as a CI job does."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError
from docker.utils import kwargs_from_env

from relman.docker.local import connect
from relman.model.run import RunName
from relman.registry.auth import Credentials
from tests.contract.shop import Shop
from tests.lab.lab import Lab

_CLONE_NEWNET = 0x40000000


@contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """Let this thread live in the network of process `pid` (setns(2)): containers' addresses are reachable there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/proc/{pid}/ns/net").open() as there:
        assert libc.setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def judge() -> docker.APIClient:
    """A client of the engine that DOCKER_HOST names, to look with at what relman did."""
    return docker.APIClient(**kwargs_from_env(), version="auto")


@pytest.fixture
def engine_client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.APIClient]:
    """A client of the CI machine's engine; no container and no network is left to the next test."""
    monkeypatch.setenv("DOCKER_HOST", lab.env["DOCKER_HOST"])
    lab.registry.start()
    with _network_of(lab.ci.machine.pid or 0):
        connected = judge()
        yield connected
        for container in connected.containers(all=True):
            with suppress(APIError):  # the engine is removing it already, after a build that was ended
                connected.remove_container(container["Id"], force=True, v=True)
        connected.prune_networks()
        connected.close()


@pytest.fixture
def run(request: pytest.FixtureRequest) -> RunName:
    """A run of its own for each test."""
    return RunName(request.node.name, "1", "shop")


@pytest.fixture
def shop(tmp_path: Path, engine_client: docker.APIClient, run: RunName, lab: Lab) -> Iterator[Shop]:
    """The service under test."""
    address, logins = lab.registry.address, {lab.registry.address: Credentials("ci", lab.registry.password)}
    with closing(connect()) as engine:
        yield Shop(tmp_path, engine, engine_client, run, address, logins)
