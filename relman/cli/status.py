"""relman status -e ENV: what runs where, from the hosts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from relman.cli.environments import open_environment
from relman.cli.options import environment_options
from relman.cli.text import age
from relman.cli.verb import Context, verb
from relman.hosts import record
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Session
from relman.rollout.lease import this_machine
from relman.rollout.status import HostStatus, look_at, verdict


@verb("status")
@environment_options
def status(context: Context, environment: str, inventories: Sequence[str], service: str | None) -> None:
    """Show what runs where: release, digest, since, health, and whether a rollback is ready."""
    chosen = open_environment(context, environment, inventories, (), None)
    rows = _look(chosen, service)
    output = context.output
    output.json("status", {"environment": chosen.name, "hosts": [asdict(r) for r in rows]})
    output.table(("HOST", "SERVICE", "RELEASE", "DIGEST", "SINCE", "HEALTH", "ROLLBACK"), [_cells(r) for r in rows])
    for row in rows:
        for note in row.notes:
            output.warn(f"{row.host}: {note}")
    error = verdict(rows)
    if error:
        raise error


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
            note = failed[host.name].what
            rows.append(HostStatus(host.name, service or "", health="unreachable", notes=(note,), unreachable=True))
        rows += found.answers.get(host.name, [])
    return rows


def _known(session: Session, chosen: Environment) -> Sequence[str]:
    """The services that the inventory names, and those that the host remembers."""
    return sorted({*chosen.services, *record.services(session.connection, chosen.name)})


def _cells(row: HostStatus) -> tuple[str, ...]:
    digest = row.manifest.removeprefix("sha256:")[:12]
    ready = "none" if not row.rollback else f"{row.rollback} ready" if row.rollback_kept else f"{row.rollback}, by pull"
    since = age(row.since, datetime.now(UTC)) if row.since else ""
    return (row.host, row.service, row.release, digest, since, row.health, ready if row.manifest else "")
