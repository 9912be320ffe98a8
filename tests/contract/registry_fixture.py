"""Registries to test against: the real docker-registry with TLS and a password, and the simulator. The same tests."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from relman.model.image import Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.contract.simulator import PASSWORD, USERNAME, Simulator
from tests.contract.token_service import ISSUER, SERVICE, TokenService
from tests.lab import packages
from tests.lab.layout import Layout
from tests.lab.pki import make_ca
from tests.lab.registry import NAME, USER
from tests.lab.registry import Registry as RealRegistry

ELSEWHERE = "127.1"
"""An address of loopback (inet_aton(3)) that nothing takes for one by its looks."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Loopback(Layout):
    """Where a registry without a lab lives: on loopback."""

    port: int = 0

    @property
    def gateway(self) -> str:
        """Loopback."""
        return "127.0.0.1"

    @property
    def registry(self) -> str:
        """The registry's address."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Place:
    """A registry to talk to and how. Repositories are new for each test."""

    host: str
    credentials: Credentials
    ca: str | None = None
    pauses: list[float] = field(default_factory=list)

    def connect(self, credentials: Credentials | None = None, *, writes: bool = False) -> Registry:
        """A client that notes its pauses instead of making them."""
        return Registry(
            self.host,
            credentials=credentials or self.credentials,
            ca=self.ca,
            timeout=10,
            writes=writes,
            sleep=self.pauses.append,
        )

    def repository(self) -> Repository:
        """A repository that nobody used before."""
        return Repository(self.host, f"team/shop-{next(_numbers)}")


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def place_of(simulator: Simulator) -> Place:
    """How to reach a running simulator."""
    return Place(simulator.host, Credentials(USERNAME, PASSWORD))


@pytest.fixture(scope="session")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """docker-registry 2.8 with TLS from a CA of its own and a password; packages are installed where missing."""
    packages.install()
    registry = RealRegistry(Loopback(0, tmp_path_factory.mktemp("registry"), free_port()))
    make_ca(registry.ca.parent, "127.0.0.1", NAME, ELSEWHERE)
    with _served(registry):
        yield registry


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """As `real_registry`, without TLS."""
    packages.install()
    with _served(RealRegistry(Loopback(0, tmp_path_factory.mktemp("plain"), free_port()), tls=False)) as registry:
        yield registry


@contextmanager
def _served(registry: RealRegistry) -> Iterator[RealRegistry]:
    registry.provision()
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


@pytest.fixture(scope="session")
def bearer_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same registry, which lets nobody in but by the tokens of a service, and that one by the password."""
    packages.install()
    layout = Loopback(0, tmp_path_factory.mktemp("bearer"), free_port())
    tls = layout.dir / "registry" / "tls"
    make_ca(tls, layout.gateway, NAME)
    with TokenService(tls, Credentials(USERNAME, PASSWORD).basic).running() as service:
        auth = {"realm": service.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(tls / "ca.crt")}
        with _served(RealRegistry(layout, auth={"token": auth})) as registry:
            yield Place(registry.address, Credentials(USERNAME, PASSWORD), ca=str(registry.ca))


@pytest.fixture(params=["real", "simulated", "lenient"])
def bearer(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Registries with bearer tokens: the real one, and the simulator, which says in the same way or as others do that
    a mount needs a token for its source too."""
    if request.param == "real":
        yield request.getfixturevalue("bearer_registry")
        return
    with Simulator(auth="token", lenient=request.param == "lenient").running() as simulator:
        yield place_of(simulator)


def elsewhere(host: str) -> str:
    """The host:port of loopback by a name that does not say that it is there."""
    return host.replace("127.0.0.1", ELSEWHERE)


@pytest.fixture(params=["real", "simulated"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The real registry, then the simulator."""
    with ExitStack() as stack:
        if request.param == "real":
            real: RealRegistry = request.getfixturevalue("real_registry")
            yield Place(real.address, Credentials(USER, real.password), ca=str(real.ca))
        else:
            yield place_of(stack.enter_context(Simulator().running()))


@pytest.fixture
def registry(place: Place) -> Iterator[Registry]:
    """A client of `place`."""
    with place.connect() as client:
        yield client


@pytest.fixture
def repository(place: Place) -> Repository:
    """A repository of `place` that nobody used before."""
    return place.repository()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator of its own, to be made to misbehave."""
    with Simulator().running() as simulator:
        yield simulator


@pytest.fixture
def simulated(simulator: Simulator) -> Place:
    """How to reach `simulator`."""
    return place_of(simulator)
