"""Which certificates the proxies of an environment get by ACME, and from whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from relman.model.host import Host
from relman.model.proxy import Certificate
from relman.model.state_dir.lock import Lock
from relman.rollout.acme.certify import CertificateGroup, Certified, certify
from relman.rollout.acme.issued import held, lacking
from relman.rollout.fleet import Fleet, Gathered, Watcher
from relman.rollout.proxy.apply import Applied, Meant


def names_of(host: Host, own: Collection[Certificate]) -> tuple[str, ...]:
    """The host names that a host wants a certificate for: those that the inventory lists, or routes, but for those that
    its `own` certificates, which are secrets, are for. Pure."""
    acme = host.proxy.acme if host.proxy else None
    if acme is None:
        return ()
    routed = (name for route in host.routes.values() for name in route.hosts)
    wanted = dict.fromkeys(acme.names or routed)
    return tuple(name for name in wanted if not any(each.covers(name) for each in own))


def groups_of(meant: Mapping[str, Meant], accounts: Mapping[str, bytes]) -> tuple[CertificateGroup, ...]:
    """The hosts that get certificates, by authority and account; `accounts` are the private keys, by host. Pure."""
    found: dict[tuple[object, bytes], CertificateGroup] = {}
    for host, each in meant.items():
        if each.proxy.acme and each.names:
            key = (each.proxy.acme, accounts[host])
            group = found.get(key, CertificateGroup(each.proxy.acme, accounts[host], {}))
            found[key] = replace(group, wanted={**group.wanted, host: each.names})
    return tuple(found.values())


def renew(fleet: Fleet, groups: Sequence[CertificateGroup], holder: Lock, watcher: Watcher) -> Certified:
    """Get the certificates that a host lacks, or that are to be renewed, and put them on the hosts. Raises what the
    hosts raise before anything is ordered."""
    certified = Certified()
    for group in groups:
        before = fleet.each(held, group.wanted).all("looking at the certificates")
        if names := lacking(group.wanted, before, datetime.now(UTC)):
            certified.before |= before
            certified.add(certify(fleet, group, names, holder, watcher))
    return certified


def together(first: Gathered[Applied], then: Gathered[Applied]) -> Gathered[Applied]:
    """What was done on each host, first and then. Pure."""
    return Gathered(
        {h: _after(each, then.answers.get(h)) for h, each in first.answers.items() if h not in then.errors},
        {**first.errors, **then.errors},
    )


def _after(first: Applied, then: Applied | None) -> Applied:
    if then is None or not then.changed:
        return first
    return replace(first, done=f"{first.done}, and {then.done}") if first.changed else then
