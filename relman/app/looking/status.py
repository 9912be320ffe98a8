"""What runs where, by the hosts themselves, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.environments import Request, Selected, looked_at, one_or_all, unknown_service
from relman.hosts.state_dir import record
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Gathered, Session
from relman.rollout.looking.advice import CommandScope
from relman.rollout.looking.departed import Departed, departed
from relman.rollout.looking.status import HostStatus, look_at, unseen, with_absences
from relman.rollout.looking.verdict import Finding, findings, verdict, within
from relman.rollout.state.lease import this_machine


@dataclass(frozen=True)
class Status:
    """A row for each service on each host, all findings, the gravest first, and the hosts that left the inventory."""

    rows: Sequence[HostStatus]
    findings: Sequence[Finding]
    departed: Sequence[Departed] = ()

    def verdict(self, max_unhealthy: str | None = None) -> Finding | None:
        """The gravest finding; up to `max_unhealthy` (N or N%) unknown or unhealthy hosts are tolerated."""
        return verdict(self.findings, forgiven=max_unhealthy is not None and within(self.rows, max_unhealthy))


def status(context: Context, request: Request) -> Status:
    """Observe all hosts in parallel. A host that does not answer gets a row that says so. Raises ConfigError and
    UsageError."""
    selected = looked_at(context, request)
    with _fleet(selected, request) as fleet:
        return _seen(fleet, selected, request)


def watched(context: Context, request: Request, pause: float) -> Iterator[Status]:
    """As `status`, again and again, `pause` seconds after what was made of the one before; hosts stay connected as long
    as all of them answer."""
    selected = looked_at(context, request)
    while True:
        with _fleet(selected, request) as fleet:
            found = None
            while found is None or not any(row.unreachable for row in found.rows):
                found = _seen(fleet, selected, request)
                yield found
                time.sleep(pause)


def _fleet(selected: Selected, request: Request) -> Fleet:
    return Fleet(selected.environment, one_or_all(selected.environment.services, request.service) or "")


def _seen(fleet: Fleet, selected: Selected, request: Request) -> Status:
    chosen = selected.environment
    service = one_or_all(chosen.services, request.service)
    found = fleet.ask(lambda session: rows_of(session, chosen, service))
    rows = joined(chosen, service, found)
    if service and not rows:
        raise unknown_service(chosen, service)
    return judged(rows, selected, request.inventories)


def judged(rows: Sequence[HostStatus], selected: Selected, inventories: Sequence[str]) -> Status:
    """The rows of an environment's hosts with what is wrong. Pure."""
    place = scope(selected.environment, rows, inventories)
    known = {(row.host, row.service): row.peers for row in rows}
    return Status(rows, findings(rows, place), departed(known, {h.name for h in selected.whole.hosts}, place))


def scope(chosen: Environment, rows: Sequence[HostStatus], inventories: Sequence[str]) -> CommandScope:
    """How commands about what is wrong in these rows name their target. Pure."""
    silent = tuple(dict.fromkeys(r.host for r in rows if r.unreachable))
    hosts = frozenset(h.name for h in chosen.hosts)
    return CommandScope(chosen.name, frozenset(chosen.services), hosts, silent, tuple(inventories))


def rows_of(session: Session, chosen: Environment, service: str | None) -> list[HostStatus]:
    """One host of an environment: a row for the service, or for each (None). Raises what `look_at` raises."""
    names = [service] if service else _known(session, chosen)
    return [look_at(session, chosen.name, name, this_machine()) for name in names]


def joined(chosen: Environment, service: str | None, found: Gathered[list[HostStatus]]) -> list[HostStatus]:
    """The rows of all hosts, those that failed too, without services of which there is nothing anywhere. Pure."""
    rows: list[HostStatus] = []
    for host in chosen.hosts:
        if host.name in found.errors:
            rows.append(unseen(host.name, service or "", found.errors[host.name]))
        rows += found.answers.get(host.name, [])
    return [row for row in with_absences(rows) if row.service in ("", *chosen.services) or _anything(row)]


def _anything(row: HostStatus) -> bool:
    """Whether something of the service is there, or may be."""
    return bool(row.serving or row.recorded_manifest or row.notes or row.unreachable)


def _known(session: Session, chosen: Environment) -> Sequence[str]:
    """The services in the inventory and those with a record on the host."""
    return sorted({*chosen.services, *record.services(session.connection, chosen.name)})
