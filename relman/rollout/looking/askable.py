"""Decide whether a container's health can be checked on a host, before anything is changed there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relman.hosts.health_probe import probe_tcp
from relman.model.container import Container, Network
from relman.model.plan import Action, Step
from relman.model.settings import Binding, Process, RunSettings
from relman.rollout.busy_ports import accepts
from relman.rollout.fleet import Session

PROBE_TIMEOUT = 5.0
_LOOPBACK = "127.0.0.1"
_HOST, _NONE, _DEFAULT = "host", "none", "bridge"
_ENGINE_S_OWN = {"default": _DEFAULT}
_APART = ("macvlan", "ipvlan", "overlay")


def own_address(container: Container, settings: RunSettings) -> str:
    """The container's address: in the first named network, else in its only one; "" if none is certainly its own."""
    if _HOST in settings.networks:
        return _LOOPBACK
    if settings.networks:
        first = settings.networks[0]
        return container.addresses.get(_ENGINE_S_OWN.get(first, first), "")
    known = container.addresses
    return known.get(_DEFAULT) or (next(iter(known.values())) if len(known) == 1 else "")


def asked_port(settings: RunSettings) -> int:
    """The container port that is checked; 0 if none is configured."""
    first = settings.ports[0].container if settings.ports else 0
    return settings.health.port or first


def why_mute(session: Session, settings: RunSettings, known: Mapping[str, Network] | None = None) -> str:
    """Why the health of a container with these settings cannot be checked from this host; "" if it can.

    The engine is asked about a network that is not `known`. Raises what the engine raises.
    """
    if not settings.health.probe.by_address:
        return ""
    if session.facts.rootless:
        return "its engine is rootless: the host does not reach its containers"
    name = _ENGINE_S_OWN.get(settings.networks[0], settings.networks[0]) if settings.networks else _DEFAULT
    if name == _NONE:
        return "in the network none a container has no address"
    network = None if name == _HOST else (known or {}).get(name) or session.engine.network(name)
    if network and network.driver in _APART:
        return f"the host does not reach the containers of its {network.driver} network {name}"
    address = network.address if network and network.address else _LOOPBACK
    answer = probe_tcp(session.connection, address, asked_port(settings), PROBE_TIMEOUT)
    return answer.detail if answer.barred else ""


def stranger(session: Session, settings: RunSettings) -> str:
    """The process that would answer the health check in place of the service, in the host's network; "" if none
    does."""
    port = asked_port(settings)
    if not (settings.health.probe.by_address and _HOST in settings.networks and port):
        return ""
    if not accepts(session, Binding("tcp", port, _LOOPBACK)):
        return ""
    return f"something else answers on port {port} of the host (ss -ltnp 'sport = :{port}', there, names it)"


def bridge_of(containers: Iterable[Container]) -> Mapping[str, Network]:
    """The default bridge, as it is known by a container that is there already: the engine need not be asked."""
    address = next(filter(None, (c.addresses.get(_DEFAULT) for c in containers)), "")
    return {_DEFAULT: Network(_DEFAULT, address)} if address else {}


def mute(session: Session, step: Step, known: Mapping[str, Network]) -> str:
    """Why one of the step's containers could not be asked for its health; "" where all can, by all that is known
    before."""
    return next(filter(None, (_mute(session, step, part, known) for part in step.entry.settings.parts)), "")


def _mute(session: Session, step: Step, part: Process, known: Mapping[str, Network]) -> str:
    replaced = any(o.process in ("", part.name) for o in step.old) and part.name in step.stop_first
    free = step.action is not Action.VERIFY and not replaced
    return why_mute(session, part.run, known) or (stranger(session, part.run) if free else "")
