"""Make the proxy of a host as its inventory says, and remove it.

The steps of making it, each marked where it is done:

1. Get the image.
2. Make the network and the directories, and let a container go on that was paused.
3. Where it runs already: let it load what has changed (load.py).
4. Else start a container of the next number, which takes over the listeners of the one before, if that runs; what that
   routed, it routes, too.
5. Let containers of earlier numbers end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from relman.hosts.state_dir import proxy as kept
from relman.model.container import Container
from relman.model.errors import (
    MixedFleet,
    NotServing,
    PreflightFailed,
    ProxyDown,
    RelmanError,
    StepFailed,
    Unknown,
    Unreachable,
)
from relman.model.proxy import Certificate, HostProxy
from relman.model.state_dir.lock import Lock
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.acme.issued import present, staying, unanswered
from relman.rollout.fleet import Gathered, Session
from relman.rollout.images.proxy_image import ProxyImage, fetched, forget_others
from relman.rollout.proxy.addresses import halves
from relman.rollout.proxy.build import require_build
from relman.rollout.proxy.certificate_files import put, tidy
from relman.rollout.proxy.container import NETWORK, spec
from relman.rollout.proxy.haproxy_cfg import loaded_as, rendered
from relman.rollout.proxy.load import load, place, proxies, require_free, require_sockets
from relman.rollout.proxy.lock import proxy_locked
from relman.rollout.proxy.page import Page

_STARTED = 15.0
_STOP = 10
_PAUSE = 0.1
_LINES = 10


@dataclass(frozen=True)
class Applied:
    """What became of the proxy of one host, in the words after "its proxy", and a `warning` about it, if any."""

    done: str
    changed: bool = True
    warning: str = ""


@dataclass(frozen=True)
class Meant:
    """What a host's proxy is to be: as its inventory says it, with its image resolved, and its `certificates`, whose
    PEM texts are in `pems` by name; `page` is what is shown while a service cannot answer; `names` are the host
    names for which the `environment` gets certificates by ACME."""

    proxy: HostProxy
    image: ProxyImage
    certificates: tuple[Certificate, ...] = ()
    pems: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    page: Page | None = None
    environment: str = ""
    names: tuple[str, ...] = ()


def apply(session: Session, meant: Meant, holder: Lock, progress: Callable[[int, int], None]) -> Applied:
    """Make it. `holder` says who does it, to whoever meets its lock.

    Raises PreflightFailed where it cannot be, StepFailed if it does not load its configuration and routes as before,
    ProxyDown if it does not start, Locked, and what the engine raises.
    """
    _require_able(session)
    # Step 1.
    id = fetched(session, meant.image, progress)
    with proxy_locked(session, holder):
        # Step 2.
        _make_network(session)
        before, there = kept.read(session.connection), proxies(session)
        if paused := [c.id for c in there if c.paused]:  # they keep their ports, and answer nobody
            session.connection.together(*(partial(session.engine.resume, each) for each in paused))
            there = proxies(session)
        warning = require_build(session, before, meant.proxy, meant.image.reference)
        page = meant.page.file if meant.page else ""
        if meant.page:
            kept.write_page(session.connection, page, meant.page.response)
        after = _state(session, before, meant, page)
        put(session.connection, after, {each.file: meant.pems[each.name] for each in meant.certificates})
        if before and any(c.name == before.container and c.running and c.image_id == id for c in there):
            done = _loaded(session, before, after, there)
        else:
            done = _replaced(session, before, after, there)
        tidy(session.connection, after)
    forget_others(session, id)
    return replace(done, done=f"{'was paused, and ' if paused else ''}{done.done}", warning=warning)


def _state(session: Session, before: ProxyState | None, meant: Meant, page: str) -> ProxyState:
    """What it is to be; certificates that were got by ACME are the host's own, and stay."""
    connection, now = session.connection, datetime.now(UTC)
    old = before or ProxyState(meant.proxy, meant.image.reference)
    issued = staying(old, present(session, old), meant.names, meant.environment, now)
    certificates = (*meant.certificates, *issued)
    return replace(
        old,
        proxy=meant.proxy,
        image=meant.image.reference,
        certificates=certificates,
        page=page,
        owner=kept.owner(connection, kept.directory(connection, kept.RUN)),
        challenges=unanswered(old.challenges, certificates, now),
    )


def _loaded(session: Session, before: ProxyState, after: ProxyState, there: Sequence[Container]) -> Applied:
    # Step 3; first the end of what an attempt that died has left.
    _end(session, [c for c in there if c.name != after.container], after)
    if load(session, before, after):
        return Applied("loaded its new configuration")
    return Applied("is as the inventory says", False)


def _replaced(session: Session, before: ProxyState | None, after: ProxyState, there: Sequence[Container]) -> Applied:
    # Step 4.
    numbers = {c.name: int(c.name.rpartition("-")[2]) for c in there}
    last = max((numbers[c.name] for c in there if c.running), default=None)
    after = replace(after, number=1 + max([*numbers.values(), before.number if before else 0]))
    _start(session, before, after, last)
    # Step 5.
    _end(session, there, after)
    return Applied(f"{'was replaced, and ' if there else ''}runs {after.image}")


def _require_able(session: Session) -> None:
    host, name = session.host.name, session.engine.name()
    if session.facts.rootless:
        raise PreflightFailed("its engine is rootless: a proxy would not reach its containers", host=host)
    if name.startswith("Podman"):
        raise PreflightFailed(f"{name} runs there: a proxy needs Docker Engine", host=host)
    require_sockets(session)


def _make_network(session: Session) -> None:
    """The engine chooses a subnet that is free on the host; then the network is made again with just that one. One that
    was left in between has no part for the engine."""
    networks, chosen = session.engine.networks, session.engine.network(NETWORK)
    if chosen and chosen.dynamic:
        return
    if chosen is None:
        networks.create(NETWORK)
        chosen = session.engine.network(NETWORK)
    if chosen is None or not chosen.subnet:
        raise StepFailed(f"the engine made no network {NETWORK} with a subnet", host=session.host.name)
    networks.remove(NETWORK)
    networks.create(NETWORK, subnet=chosen.subnet, dynamic=halves(chosen.subnet)[1])


def _start(session: Session, before: ProxyState | None, after: ProxyState, last: int | None) -> None:
    """Start it; the `last` one that runs goes on until it is told to end. Whoever finds both knows by the state, which
    is written first, that this is not done."""
    connection, engine = session.connection, session.engine
    directories = {name: kept.directory(connection, name) for name in (kept.ETC, kept.CERTIFICATES, kept.RUN)}
    ports = after.ports - (before.ports if before and last else frozenset())
    require_free(session, ports, StepFailed if last else ProxyDown, "; relman_proxy can say another")
    place(session, after, rendered(after))
    made = engine.create(spec(after, directories, last))
    engine.start(made)
    if _says(session, after):
        return
    log = engine.logs(made, tail=_LINES)
    if before is None or last is None:
        raise ProxyDown("its proxy did not start", host=session.host.name, details=log)
    engine.stop(made, _STOP)
    engine.remove(made)
    place(session, before, rendered(before))
    raise StepFailed("its new proxy did not start; the one before goes on", host=session.host.name, details=log)


def _end(session: Session, others: Iterable[Container], state: ProxyState) -> None:
    """Let other proxies end: they accept nothing more, answer what is under way, and are gone."""
    engine = session.engine
    limit = max((b.settings.drain(state.proxy.keep_alive) for b in state.backends), default=0.0)
    for other in others:
        engine.set_restart(other.id, "no")
        if other.running:
            engine.signal(other.id, "SIGUSR1")
        end = time.monotonic() + limit
        while engine.inspect(other.id).alive and time.monotonic() < end:
            time.sleep(_PAUSE)
        engine.stop(other.id, _STOP)
        engine.remove(other.id)


def _says(session: Session, state: ProxyState) -> bool:
    """Whether it says, after a while, that it has loaded its configuration."""
    cli = kept.master(session.connection, state.number)
    wanted, end = loaded_as(rendered(state)), time.monotonic() + _STARTED
    while (said := cli.description()) != wanted and time.monotonic() < end:
        time.sleep(_PAUSE)
    return said == wanted


def remove(session: Session, holder: Lock) -> Applied:
    """Remove it, its image's tag, its network and its files.

    Raises PreflightFailed while a service is routed by it, Locked, and what the engine raises.
    """
    with proxy_locked(session, holder):
        state, there = kept.read(session.connection), proxies(session)
        if state and state.backends:
            raise PreflightFailed(
                f"its proxy routes {', '.join(b.name for b in state.backends)}",
                host=session.host.name,
                hint="remove these services first, or deploy them without deploy.proxy; nothing was changed",
            )
        for each in there:
            session.engine.set_restart(each.id, "no")
            session.engine.stop(each.id, _STOP)
            session.engine.remove(each.id)
        kept.forget(session.connection)
        if session.engine.network(NETWORK) and not session.engine.networks.addresses(NETWORK):
            session.engine.networks.remove(NETWORK)
    forget_others(session)
    return Applied("was removed") if there or state else Applied("was not there", False)


def conclude(ended: Gathered[Applied]) -> None:
    """Raise what a command came to unless all is well: NotServing where a proxy does not run, Unknown where a host did
    not answer any more, MixedFleet where others were changed, and else what failed. Pure."""
    errors = ended.errors
    details, hint = _details(errors)
    if down := [host for host, error in errors.items() if isinstance(error, ProxyDown)]:
        raise NotServing(f"the proxy does not run on {', '.join(down)}", details=details, hint=hint)
    require_answers(errors)
    if errors and any(each.changed for each in ended.answers.values()):
        raise MixedFleet(f"the proxies of {', '.join(errors)} are as before", details=details, hint=hint)
    ended.all("changing the proxies")


def require_answers(errors: Mapping[str, RelmanError]) -> None:
    """Raise Unknown if one of these, by host, is that it did not answer. Pure."""
    details, hint = _details(errors)
    if silent := [host for host, error in errors.items() if isinstance(error, Unreachable)]:
        raise Unknown(f"no answer from {', '.join(silent)}", details=details, hint=hint)


def _details(errors: Mapping[str, RelmanError]) -> tuple[list[str], str]:
    details = [f"{host}: {line}" for host, error in errors.items() for line in (error.what, *error.details)]
    return details, next((error.hint for error in errors.values() if error.hint), "")
