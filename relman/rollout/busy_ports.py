"""Host ports that are in use although no container has them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from relman.hosts.health_probe import probe_tcp
from relman.model.container import Container
from relman.model.errors import EngineError, RelmanError
from relman.model.settings import Binding
from relman.rollout.fleet import Session

_WAIT = 2.0


@dataclass(frozen=True)
class Held:
    """Why a container cannot bind its port, and what frees it."""

    why: str
    way_out: str


def held_port(session: Session, container: Container | None) -> Held | None:
    """Whether a port of this container, which does not start, is held by something that is not a container.

    Decided by facts: the engine names no owner, and something accepts connections. After a power cut during a
    replacement, that is Docker itself, until the engine is restarted (https://github.com/moby/moby/issues/20486).
    """
    ports = sorted(port for port in (container.host_ports if container else ()) if port.protocol == "tcp")
    try:
        rows = session.engine.survey({})[1] if ports else []
        owners = [taken for row in rows for taken in row.ports]
        held = [p for p in ports if not any(p.collides(o) for o in owners) and accepts(session, p)]
    except RelmanError:
        return None
    if not held:
        return None
    host, port = session.host.name, held[0].port
    return Held(
        f"port {port} is in use, but by no container: Docker itself holds it, as after a power cut, or another program",
        f"on {host}: ss -ltnp 'sport = :{port}' names it; if it is docker-proxy: systemctl restart docker",
    )


def start(session: Session, container: str) -> None:
    """Start a container; if a held port prevents it, the engine's error says so. Raises what the engine raises."""
    try:
        session.engine.start(container)
    except EngineError as error:
        with contextlib.suppress(RelmanError):
            held = held_port(session, session.engine.inspect(container))
            error.details = (*error.details, *([held.why, held.way_out] if held else []))
        raise


def accepts(session: Session, port: Binding) -> bool:
    """Whether something listens on this port of the host. Raises Unreachable if the connection is lost."""
    return probe_tcp(session.connection, port.one_address or "127.0.0.1", port.port, _WAIT).ok
