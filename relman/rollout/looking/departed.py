"""Hosts that left the inventory, by the records of those that are in it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from relman.model.formats.text import some
from relman.model.state_dir.record import Peer
from relman.rollout.looking.advice import CommandScope


@dataclass(frozen=True)
class Departed:
    """A host that is not in the environment any more, where the service may still run: the records of `says` claim so.

    `what` says that to people, `way_out` what to type.
    """

    host: str
    service: str
    release: str
    at: str
    says: tuple[str, ...]
    what: str
    way_out: str


def departed(
    known: Mapping[tuple[str, str], Iterable[Peer]], hosts: Collection[str], place: CommandScope
) -> list[Departed]:
    """What each host and service `known` claims of hosts that are not among `hosts`; equal claims once."""
    claims: dict[tuple[str, Peer], list[str]] = {}
    for (speaker, service), others in known.items():
        for other in others:
            if other.host not in hosts:
                claims.setdefault((service, other), []).append(speaker)
    return [_departed(service, other, tuple(says), place) for (service, other), says in claims.items()]


def _departed(service: str, other: Peer, says: tuple[str, ...], place: CommandScope) -> Departed:
    who = f"{some(says)} {'knows' if len(says) == 1 else 'know'} it"
    what = (
        f"{other.host} is no longer in {place.environment}, and {service} may still run there: {who} from the "
        f"deployment of {other.release} at {other.at}"
    )
    way_out = (
        f"if it runs there: put {other.host} back into the inventory, then relman remove {place.of(service)} --only "
        f"{shlex.quote(other.host)}"
    )
    return Departed(other.host, service, other.release, other.at, says, what, way_out)
