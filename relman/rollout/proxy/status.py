"""What the proxy of a host is, and whether it has loaded what it is meant to route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from relman.hosts.state_dir import proxy as kept
from relman.model.proxy import Backend, Certificate
from relman.rollout.fleet import Session
from relman.rollout.proxy.haproxy_cfg import is_whole, loaded_as, rendered
from relman.rollout.proxy.load import proxies


@dataclass(frozen=True)
class RoutedService:
    """A service behind a proxy: the `ways` that lead to it, its `servers`; in `maintenance` the proxy answers in its
    place. `requests` were made since the proxy loaded its configuration, of which `failed` failed."""

    name: str
    ways: tuple[str, ...]
    servers: tuple[str, ...]
    maintenance: bool = False
    requests: int = field(default=0, compare=False)
    failed: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ProxyStatus:
    """One host's proxy. `container` is the state of its container, "" if it has none; `loaded` is whether it routes as
    it is meant to, `edited` whether somebody changed its configuration by hand; `draining` is the number of old workers
    that still end their `connections`; `others` are the names of earlier ones that run beside it, as a replacement that
    was interrupted leaves them."""

    host: str
    container: str = ""
    image: str = ""
    loaded: bool = False
    draining: int = 0
    connections: int = field(default=0, compare=False)
    routes: tuple[RoutedService, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    others: tuple[str, ...] = ()
    edited: bool = False

    @property
    def state(self) -> str:
        """In a word or two, for people."""
        if not self.container:
            return "none"
        if self.container != "running":
            return self.container
        if self.others:
            return "being replaced"
        if not self.loaded:
            return "written, but not loaded"
        return "edited by hand" if self.edited else "running"


def _routed(backend: Backend, counts: Mapping[str, tuple[int, int]]) -> RoutedService:
    servers = tuple(server.name for server in backend.servers)
    counted = counts.get(backend.name, (0, 0))
    return RoutedService(backend.name, backend.route.ways, servers, backend.maintenance, *counted)


def status_of(session: Session, backend: str = "") -> ProxyStatus:
    """Look at it, and at the requests to this backend, or to all. Raises what the engine and the connection raise."""
    connection, host = session.connection, session.host.name
    if (state := kept.read(connection)) is None:
        return ProxyStatus(host)
    there, cli = proxies(session), kept.master(connection, state.number)
    found = next((c for c in there if c.name == state.container), None)
    processes = cli.processes() if found and found.running else None
    old = processes.old if processes else frozenset[int]()
    asked = (partial(cli.counts, backend), cli.description) if processes else (dict, str)
    written, counts, description, *connections = connection.together(
        partial(kept.read_config, connection), *asked, *(partial(cli.connections, each) for each in old)
    )
    return ProxyStatus(
        host,
        found.status if found else "",
        state.image,
        loaded=description == loaded_as(rendered(state)),
        draining=len(old),
        connections=sum(connections),
        routes=tuple(_routed(backend, counts) for backend in state.backends),
        certificates=state.certificates,
        others=tuple(c.name for c in there if c.running and c.name != state.container),
        edited=not is_whole(written),
    )
