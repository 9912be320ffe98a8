"""Let the requests to a service go to other containers, and wait until none is with the ones before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import proxy as kept
from relman.model.container import Container
from relman.model.errors import ProxyDown, StepFailed
from relman.model.proxy import Backend, Server
from relman.model.state_dir.proxy import ProxyState
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Session
from relman.rollout.planning.replacement_order import turns
from relman.rollout.proxy.container import NETWORK
from relman.rollout.proxy.drain import drain
from relman.rollout.proxy.haproxy_cfg import HEAD, rendered
from relman.rollout.proxy.load import MAKE, load, place, running
from relman.rollout.proxy.lock import proxy_locked


def let_serve(session: Session, entry: Deployed | None, ids: Iterable[str], instead_of: Deployed | None) -> None:
    """Let the proxy send the service's requests to these containers of `entry`, if one of both releases is reached
    through it; nowhere if `entry` is not.

    Returns when nothing is left with other containers, or the drain timeout is over. Raises StepFailed if the proxy
    still routes as before; Locked, and what the connection raises.
    """
    for name, backend in _meant(session, entry, ids, instead_of):
        _switch(session, name, backend)


def let_serve_again(
    session: Session, entry: Deployed | None, ids: Iterable[str], instead_of: Deployed | None
) -> ProxyDown | None:
    """The same on a way back, which goes on without a proxy: whenever that starts, it begins with what is written here.
    Returns what is wrong with it then."""
    for name, backend in _meant(session, entry, ids, instead_of):
        try:
            _switch(session, name, backend)
        except ProxyDown as down:
            _leave(session, name, backend)
            return down
    return None


def _meant(
    session: Session, entry: Deployed | None, ids: Iterable[str], instead_of: Deployed | None
) -> Iterator[tuple[str, Backend | None]]:
    """What is to be switched, by its name in the proxy, if anything is."""
    if not any(each and each.settings.proxied for each in (entry, instead_of)):
        return
    assert session.lease  # noqa: S101  # whoever changes a service holds its lock
    where = (session.lease.environment, session.lease.service)
    found: list[Container] = session.connection.together(*(partial(session.engine.inspect, each) for each in ids))
    yield ":".join(where), backend_of(*where, entry, found) if entry else None


def backend_of(environment: str, service: str, entry: Deployed, containers: Sequence[Container]) -> Backend | None:
    """The backend of a release that these containers run; None if it is not reached through the proxy. Pure."""
    process = entry.settings.proxied
    if process is None or process.run.proxy is None or entry.route is None:
        return None
    run, settings = process.run, process.run.proxy
    own = [c for c in containers if c.process == process.name and c.addresses.get(NETWORK)]
    alone = bool(turns(entry.settings, entry.settings, (process.name,)))
    return Backend(
        environment,
        service,
        entry.route,
        settings,
        run.health,
        tuple(Server(c.name, c.addresses[NETWORK]) for c in sorted(own, key=lambda c: c.slot)),
        hold=(run.health.timeout if settings.hold is None else settings.hold) if alone else 0.0,
    )


def _switch(session: Session, name: str, backend: Backend | None) -> None:
    assert session.lease  # noqa: S101
    with proxy_locked(session, session.lease.lock):
        state = kept.read(session.connection)
        if state is None:
            if backend is None:
                return
            raise StepFailed("has no proxy", host=session.host.name, hint=MAKE)
        before = state.backend(name)
        if backend and (taken := state.claimed(backend)):
            raise StepFailed(f"cannot be routed: {taken}", host=session.host.name)
        load(session, state, _with(state, name, backend))
    limit = max((each.settings.drain(state.proxy.keep_alive) for each in (before, backend) if each), default=0.0)
    drain(
        kept.master(session.connection, state.number),
        name,
        {server.name for server in backend.servers} if backend else set(),
        idle=max(state.proxy.keep_alive, HEAD),
        limit=limit,
        meanwhile=partial(_follow, session),
        require=lambda: running(session, state),
    )


def _follow(session: Session) -> None:
    for count in session.users:
        count.follow()


def _leave(session: Session, name: str, backend: Backend | None) -> None:
    """Write what a proxy that does not run is to begin with."""
    assert session.lease  # noqa: S101
    with proxy_locked(session, session.lease.lock):
        if state := kept.read(session.connection):
            after = _with(state, name, backend)
            place(session, after, rendered(after))


def _with(state: ProxyState, name: str, backend: Backend | None) -> ProxyState:
    if backend is None:
        return state.without(name)
    before = state.backend(name)
    return state.having(replace(backend, maintenance=before.maintenance) if before else backend)
