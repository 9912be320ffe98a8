"""Let the proxy of a host route as its state says: a file that is rendered from it, and a reload.

The steps, each marked where it is done; what is loaded already needs none but the second, unless somebody edited the
file, which may have been loaded since with the description of the one before:

1. Write the next configuration, and let HAProxy check it.
2. Write the state, and put the configuration in place.
3. Reload, and see a new worker; else put both files back, and reload.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from relman.hosts.haproxy import MasterCli, Processes
from relman.hosts.state_dir import proxy as kept
from relman.model.container import Container
from relman.model.errors import PreflightFailed, ProxyDown, StepFailed
from relman.model.settings import Binding
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.busy_ports import accepts
from relman.rollout.fleet import Session
from relman.rollout.proxy.container import CONFIG, LABEL, LABELLED
from relman.rollout.proxy.haproxy_cfg import is_whole, loaded_as, rendered

_CHECK = 30.0
_RELOAD = 15.0
_PAUSE = 0.05
_LINES = 10
MAKE = "relman proxy apply makes it as the inventory says (relman_proxy)"


def load(session: Session, before: ProxyState, after: ProxyState) -> bool:
    """Make the proxy route as `after` says; returns whether it had to load anything for that. Raises StepFailed if it
    does not, and then it routes as `before`; and what the connection raises. Its lock must be held."""
    connection, host = session.connection, session.host.name
    text, cli = rendered(after), kept.master(connection, after.number)
    container = running(session, after)
    seen = cli.processes()
    if seen is None:
        raise StepFailed("its proxy does not answer", host=host, hint=f"there: docker logs {after.container}")
    if cli.description() == loaded_as(text):
        if is_whole(kept.read_config(connection)):
            place(session, after, text)
            return False
        after = replace(after, overwritten=after.overwritten + 1)
        text = rendered(after)
    require_free(session, after.ports - before.ports, StepFailed)
    # Step 1.
    kept.draft_config(connection, text)
    _check(session, container)
    # Step 2.
    kept.write(connection, after)
    kept.place_config(connection)
    # Step 3.
    if cli.reload() is False or not _confirmed(cli, seen):
        place(session, before, rendered(before))
        cli.reload()
        log = session.engine.logs(container.id, tail=_LINES)
        raise StepFailed("HAProxy did not load the new configuration; it routes as before", host=host, details=log)
    return True


def _check(session: Session, container: Container) -> None:
    ran = session.engine.inside.run(container, ("haproxy", "-c", "-q", "-f", f"{CONFIG}.{kept.NEXT}"), _CHECK)
    if ran.code == 0:
        return
    how = "refuses the new configuration" if ran.code else f"did not check the new configuration in {_CHECK:.0f} s"
    lines = [line for line in ran.output.splitlines() if line.strip()][-_LINES:]
    raise StepFailed(f"HAProxy {how}; it routes as before", host=session.host.name, details=lines)


def require_sockets(session: Session) -> None:
    """Raise PreflightFailed where relman does not reach a proxy's socket: it is opened by sshd itself."""
    if not session.connection.streamlocal:
        raise PreflightFailed(
            "its sshd opens no Unix sockets, by which relman speaks to a proxy",
            host=session.host.name,
            hint="AllowStreamLocalForwarding yes (or local) in its sshd_config; nothing was changed",
        )


def proxies(session: Session) -> list[Container]:
    """The containers of proxies, newest first: one, unless its replacement was interrupted."""
    return session.engine.survey({LABEL: LABELLED})[0]


def running(session: Session, state: ProxyState) -> Container:
    """The proxy's container. Raises ProxyDown if it does not run, and StepFailed if it is paused, or another one runs
    beside it, which would go on sending requests to where this one does not any more."""
    there, host = proxies(session), session.host.name
    found = next((c for c in there if c.name == state.container), None)
    if others := [c.name for c in there if c.alive and c.name != state.container]:
        raise StepFailed(f"its proxy was being replaced, and {', '.join(others)} still runs", host=host, hint=MAKE)
    if found and found.paused:
        raise StepFailed("its proxy is paused", host=host, hint=f"there: docker unpause {found.name}")
    if found is None or not found.running:
        raise ProxyDown(f"its proxy is {found.status if found else 'gone'}", host=host, hint=MAKE)
    return found


def place(session: Session, state: ProxyState, text: str) -> None:
    """Write the state and the configuration that is rendered from it, without a reload."""
    kept.draft_config(session.connection, text)
    kept.write(session.connection, state)
    kept.place_config(session.connection)


def require_free(session: Session, ports: Iterable[int], error: type[StepFailed | ProxyDown], hint: str = "") -> None:
    """Raise this error if a port is in use: HAProxy finds that only when it binds it, and answers nobody meanwhile."""
    if taken := [port for port in sorted(ports) if accepts(session, Binding("tcp", port))]:
        raise error(
            f"port {', '.join(map(str, taken))}, which the proxy is to listen on, is in use",
            host=session.host.name,
            hint=f"there: ss -ltnp 'sport = :{taken[0]}' names who has it{hint}",
        )


def _confirmed(cli: MasterCli, seen: Processes) -> bool:
    """Whether a worker came that was not there."""
    end = time.monotonic() + _RELOAD
    while True:
        found = cli.processes()
        if found and found.workers - seen.workers:
            return True
        if (found and found.failed) or time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)
