"""Give containers that are about to be created their addresses in the proxy's network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import proxy as kept
from relman.model.container import Container, RunSpec
from relman.model.errors import StepFailed
from relman.model.plan import Step
from relman.model.state_dir.record import Unit
from relman.rollout.fleet import Session
from relman.rollout.proxy.addresses import free
from relman.rollout.proxy.container import NETWORK
from relman.rollout.proxy.load import MAKE
from relman.rollout.proxy.lock import proxy_locked


@contextlib.contextmanager
def addressed(session: Session, step: Step, units: Sequence[Unit]) -> Iterator[Mapping[str, str]]:
    """The address of each of these units that is reached through the proxy, by name; nobody else gets one of them until
    they are created, within the block.

    Where the old container stops first, its successor gets its address, and the proxy need not know. Else a kept one,
    which has its id, gets its own again, unless an old one that runs on has it. Raises StepFailed if there is none,
    Locked, and what the engine raises.
    """
    process = step.entry.settings.proxied
    own = [unit for unit in units if process and unit.process == process.name]
    if not own:
        yield {}
        return
    assert session.lease  # noqa: S101  # whoever changes a service holds its lock
    with proxy_locked(session, session.lease.lock):
        olds = session.connection.together(*(partial(session.engine.inspect, old.container) for old in step.old))
        pairs = zip(step.old, olds, strict=True)
        inherited = {c.slot: address_of(c) for old, c in pairs if old.process in step.stop_first}
        held = {address_of(c) for c in olds}
        found = dict[str, str]()
        for unit in own:
            before = address_of(session.engine.inspect(unit.container)) if unit.container else ""
            if address := inherited.get(unit.slot) or (before if before not in held else ""):
                found[unit.name] = address
        fresh = [unit.name for unit in own if unit.name not in found]
        yield {**found, **dict(zip(fresh, _free(session, len(fresh)), strict=True))}


def address_of(container: Container) -> str:
    """Its address in the proxy's network, or ""."""
    return container.addresses.get(NETWORK, "")


def in_network(spec: RunSpec, address: str) -> RunSpec:
    """The container to create, with this address in the proxy's network."""
    run = replace(spec.settings, networks=(*spec.settings.networks, NETWORK))
    return replace(spec, settings=run, addresses={NETWORK: address})


def move(session: Session, container: Container, address: str, aliases: Sequence[str]) -> None:
    """Let a container that does not run have this address there. Raises what the engine raises."""
    if address_of(container) != address:
        session.engine.networks.move(container.id, NETWORK, address, aliases)


def _free(session: Session, count: int) -> tuple[str, ...]:
    network, host = session.engine.network(NETWORK), session.host.name
    if network is None or not network.subnet:
        raise StepFailed(f"has no network {NETWORK}", host=host, hint=MAKE)
    state = kept.read(session.connection)
    taken = session.engine.networks.addresses(NETWORK) | (state.addresses if state else frozenset())
    try:
        return free(network.subnet, taken, count)
    except ValueError as error:
        raise StepFailed(f"the network {NETWORK}: {error}", host=host) from error
