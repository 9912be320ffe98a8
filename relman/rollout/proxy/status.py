"""What the proxy of a host is, and whether it has loaded what it is meant to route."""

from __future__ import annotations

from dataclasses import dataclass

from relman.hosts.haproxy import MasterCli
from relman.hosts.state_dir import proxy as kept
from relman.model.proxy import Certificate
from relman.rollout.fleet import Session
from relman.rollout.proxy.container import NAME
from relman.rollout.proxy.haproxy_cfg import loaded_as, rendered
from relman.rollout.undo import find


@dataclass(frozen=True)
class RoutedService:
    """A service behind a proxy: the `ways` that lead to it, and its `servers`."""

    name: str
    ways: tuple[str, ...]
    servers: tuple[str, ...]


@dataclass(frozen=True)
class ProxyStatus:
    """One host's proxy. `container` is the state of its container, "" if it has none; `loaded` is whether it routes as
    its files say; `draining` is the number of old workers that still end their connections."""

    host: str
    container: str = ""
    image: str = ""
    loaded: bool = False
    draining: int = 0
    routes: tuple[RoutedService, ...] = ()
    certificates: tuple[Certificate, ...] = ()

    @property
    def state(self) -> str:
        """In a word or two, for people."""
        if not self.container:
            return "none"
        if self.container != "running":
            return self.container
        return "running" if self.loaded else "written, but not loaded"


def status_of(session: Session) -> ProxyStatus:
    """Look at it. Raises what the engine and the connection raise."""
    connection, host = session.connection, session.host.name
    state, found = kept.read(connection), find(session, NAME)
    cli = MasterCli(connection, kept.socket(connection))
    processes = cli.processes() if found and found.running else None
    loaded = cli.description() if processes else ""
    return ProxyStatus(
        host,
        found.status if found else "",
        state.image if state else "",
        loaded=bool(state and loaded == loaded_as(rendered(state))),
        draining=len(processes.old) if processes else 0,
        routes=tuple(
            RoutedService(b.name, b.route.ways, tuple(s.name for s in b.servers))
            for b in (state.backends if state else ())
        ),
        certificates=state.certificates if state else (),
    )
