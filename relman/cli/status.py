"""relman status -e ENV: what runs where, from the hosts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from relman.cli.environments import open_environment, unknown_service
from relman.cli.options import environment_options, hosts_options, max_unhealthy_option
from relman.cli.plans import also_on
from relman.cli.render import Output
from relman.cli.text import age, by_whom
from relman.cli.verb import Context, verb
from relman.hosts.state_dir import record
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.advice import Place
from relman.rollout.looking.status import HostStatus, look_at, unseen, with_absences
from relman.rollout.looking.verdict import Finding, findings, verdict, within
from relman.rollout.state.lease import this_machine


@verb("status")
@environment_options
@hosts_options("--limit")
@max_unhealthy_option
def status(
    context: Context,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    max_unhealthy: str | None,
) -> None:
    """Show what runs where, and what to type where something is wrong.

    That is release, digest, since, health, and whether a rollback is ready.

    The exit code is that of the gravest thing that is wrong, and the hint says what to type next: 10 a host serves
    nothing, 7 a change was interrupted, 6 hosts run different releases, 8 something else runs than was deployed, 11 a
    host did not answer, 12 one is unhealthy or paused.
    """
    chosen = open_environment(context, environment, inventories, only, exclude)
    rows = _look(chosen, service)
    output = context.output
    output.json("status", {"environment": chosen.name, "hosts": [asdict(r) for r in rows]})
    output.table(_COLUMNS, [_cells(r) for r in rows], _SHARED)
    for name in dict.fromkeys(row.service for row in rows):
        for line in also_on(name, ((r.host, copy) for r in rows if r.service == name for copy in r.copies)):
            output.line(line)
    for row in rows:
        for note in row.notes:
            output.warn(f"{row.host}: {note}")
    found = findings(rows, _place(chosen, rows, inventories))
    gravest = verdict(found, forgiven=max_unhealthy is not None and within(rows, max_unhealthy))
    for each in found:
        if each is not gravest:
            _warn(output, each)
    if gravest:
        raise gravest.conclusion()


_COLUMNS = ("HOST", "SERVICE", "RELEASE", "DIGEST", "SINCE", "BY", "HEALTH", "ROLLBACK")
_SHARED = ("SERVICE", "DIGEST", "SINCE", "BY", "ROLLBACK")


def _place(chosen: Environment, rows: Sequence[HostStatus], inventories: Sequence[str]) -> Place:
    silent = tuple(dict.fromkeys(r.host for r in rows if r.unreachable))
    hosts = frozenset(h.name for h in chosen.hosts)
    return Place(chosen.name, frozenset(chosen.services), hosts, silent, tuple(inventories))


def _warn(output: Output, finding: Finding) -> None:
    output.warn(finding.what)
    for line in finding.details:
        output.warn(f"  {line}")
    if finding.way_out:
        output.warn(f"  {finding.way_out}")


def _look(chosen: Environment, service: str | None) -> list[HostStatus]:
    machine = this_machine()
    with Fleet(chosen, service or "") as fleet:

        def one(session: Session) -> list[HostStatus]:
            names = [service] if service else _known(session, chosen)
            return [look_at(session, chosen.name, name, machine) for name in names]

        found = fleet.each(one)
        failed = {**fleet.unreachable, **found.errors}
    rows: list[HostStatus] = []
    for host in chosen.hosts:
        if host.name in failed:
            rows.append(unseen(host.name, service or "", failed[host.name]))
        rows += found.answers.get(host.name, [])
    rows = with_absences(rows)
    shown = [row for row in rows if row.service in ("", *chosen.services) or _anything(row)]
    if service and not shown:
        raise unknown_service(chosen, service)
    return shown


def _anything(row: HostStatus) -> bool:
    """Whether anything of the service is known to be there, or cannot be known."""
    return bool(row.serving or row.recorded_manifest or row.notes or row.unreachable)


def _known(session: Session, chosen: Environment) -> Sequence[str]:
    """The services that the inventory names, and those that the host remembers."""
    return sorted({*chosen.services, *record.services(session.connection, chosen.name)})


def _cells(row: HostStatus) -> tuple[str, ...]:
    digest = row.manifest.removeprefix("sha256:")[:12]
    since = age(row.since, datetime.now(UTC)) if row.since else ""
    rollback = _rollback(row) if row.recorded_manifest else ""
    by = by_whom(row.by, row.how)
    return (row.host, row.service, row.release, digest, since, by, row.health, rollback)


def _rollback(row: HostStatus) -> str:
    if not row.rollback:
        return "none"
    return f"{row.rollback} ready" if row.rollback_kept else f"{row.rollback}, by pull"
