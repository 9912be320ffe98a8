"""Give containers that are about to be created their addresses in the proxy's network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from relman.hosts.state_dir import proxy as kept
from relman.model.container import RunSpec
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

    Where the old container stops first, its successor gets its address, and the proxy need not know. Raises StepFailed
    if there is none, Locked, and what the engine raises.
    """
    process = step.entry.settings.proxied
    own = [unit for unit in units if process and unit.process == process.name]
    if not own:
        yield {}
        return
    assert session.lease  # noqa: S101  # whoever changes a service holds its lock
    with proxy_locked(session, session.lease.lock):
        inherited = _inherited(session, step)
        found = {unit.name: inherited[unit.slot] for unit in own if unit.slot in inherited}
        fresh = [unit.name for unit in own if unit.name not in found]
        yield {**found, **dict(zip(fresh, _free(session, len(fresh)), strict=True))}


def in_network(spec: RunSpec, address: str) -> RunSpec:
    """The container to create, with this address in the proxy's network."""
    run = replace(spec.settings, networks=(*spec.settings.networks, NETWORK))
    return replace(spec, settings=run, addresses={NETWORK: address})


def _inherited(session: Session, step: Step) -> dict[tuple[str, str], str]:
    found = [session.engine.inspect(old.container) for old in step.old if old.process in step.stop_first]
    return {c.slot: c.addresses[NETWORK] for c in found if c.addresses.get(NETWORK)}


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
