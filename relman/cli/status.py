"""relman status -e ENV: what runs where, from the hosts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from relman.cli.environments import open_environment, unknown_service
from relman.cli.options import environment_options
from relman.cli.text import age, by_whom
from relman.cli.verb import Context, verb
from relman.hosts import record
from relman.model.errors import Drift, Interrupted, MixedFleet, NotServing, RelmanError
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Session
from relman.rollout.lease import this_machine
from relman.rollout.status import HostStatus, look_at, verdict, with_absences


@verb("status")
@environment_options
def status(context: Context, environment: str, inventories: Sequence[str], service: str | None) -> None:
    """Show what runs where: release, digest, since, health, and whether a rollback is ready."""
    chosen = open_environment(context, environment, inventories)
    rows = _look(chosen, service)
    output = context.output
    output.json("status", {"environment": chosen.name, "hosts": [asdict(r) for r in rows]})
    output.table(_COLUMNS, [_cells(r) for r in rows])
    for row in rows:
        for note in row.notes:
            output.warn(f"{row.host}: {note}")
    error = verdict(rows)
    if error:
        error.hint = _HINTS.get(type(error), error.hint).format(env=chosen.name)
        raise error


_COLUMNS = ("HOST", "SERVICE", "RELEASE", "DIGEST", "SINCE", "BY", "HEALTH", "ROLLBACK")
_HINTS: Mapping[type[RelmanError], str] = {
    NotServing: "relman logs -e {env} shows the last lines; relman rollback -e {env} goes back to the release before",
    Interrupted: "relman recover -e {env} finishes or undoes it",
    Drift: "relman deploy TAG -e {env} puts it right",
    MixedFleet: "relman deploy TAG -e {env}, or relman rollback -e {env}, makes it one",
}


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
            word = "unreachable" if host.name in fleet.unreachable else "unknown"
            note = failed[host.name].what
            rows.append(HostStatus(host.name, service or "", health=word, notes=(note,), unreachable=True))
        rows += found.answers.get(host.name, [])
    rows = with_absences(rows)
    shown = [row for row in rows if row.service in ("", *chosen.services) or _anything(row)]
    if service and not shown:
        raise unknown_service(chosen, service)
    return shown


def _anything(row: HostStatus) -> bool:
    """Whether anything of the service is known to be there, or cannot be known."""
    return bool(row.serving or row.recorded_manifest or row.notes)


def _known(session: Session, chosen: Environment) -> Sequence[str]:
    """The services that the inventory names, and those that the host remembers."""
    return sorted({*chosen.services, *record.services(session.connection, chosen.name)})


def _cells(row: HostStatus) -> tuple[str, ...]:
    digest = row.manifest.removeprefix("sha256:")[:12]
    since = age(row.since, datetime.now(UTC)) if row.since else ""
    return (
        row.host,
        row.service,
        row.release,
        digest,
        since,
        by_whom(row.by, row.how),
        _health(row),
        _rollback(row) if row.recorded_manifest else "",
    )


def _health(row: HostStatus) -> str:
    if row.unreachable or row.interrupted:
        return row.health
    if not row.serving and not row.recorded_manifest:
        return "nothing deployed"
    return row.health or "runs, not checked"


def _rollback(row: HostStatus) -> str:
    if not row.rollback:
        return "none"
    return f"{row.rollback} ready" if row.rollback_kept else f"{row.rollback}, by pull"
