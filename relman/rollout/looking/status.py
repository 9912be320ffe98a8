"""What runs where, by the hosts themselves and not by the ledger or the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from relman.hosts.health_probe import ProbeResult
from relman.model.container import Container, Copy
from relman.model.errors import RelmanError, Unreachable
from relman.model.plan import Observed
from relman.model.record import Absence, Deployed, kept_in
from relman.rollout.fleet import Session
from relman.rollout.health import probe_now
from relman.rollout.looking.condition import (
    DARK,
    Condition,
    condition,
    drift,
    in_place,
    interrupted,
    last_one,
    lock_note,
    manifest_of,
    release_of,
)
from relman.rollout.looking.history import last_told, put_there
from relman.rollout.looking.observe import observe
from relman.rollout.planning.rollback_target import before


@dataclass(frozen=True)
class HostStatus:
    """One service on one host.

    `state` and `why` summarise it. `release` and `manifest` are those of what runs (if nothing runs, the record's);
    `recorded_release` and `recorded_manifest` the record's; `proven` whether the record calls that proven good;
    `skipped` the gates that a person skipped for it. `since` is RFC 3339; `health` is for people; `rollback` is the
    release that a rollback would restore ("" if none) and `rollback_kept` whether the host has its image. `container`
    names the one that occupies, or last occupied, the service's place; `port_holder` another one that has taken its
    port. `left_out` are the hosts that were excluded when this one was last deployed to. `under_way` is whether a live
    deployment explains what was observed; `unreachable` whether nothing is known, in which case `hint` may help. `by`
    and `how` (deployed, rolled back, recovered) say who started the recorded release. `copies` are the service's
    containers of other environments.
    """

    host: str
    service: str
    serving: bool = False
    release: str = ""
    manifest: str = ""
    since: str = ""
    health: str = ""
    rollback: str = ""
    rollback_kept: bool = False
    notes: tuple[str, ...] = ()
    drift: bool = False
    interrupted: bool = False
    unreachable: bool = False
    deployed_at: str = ""
    left_out: tuple[Absence, ...] = ()
    recorded_release: str = ""
    recorded_manifest: str = ""
    under_way: bool = False
    state: Condition = Condition.WELL
    why: str = ""
    container: str = ""
    port_holder: str = ""
    proven: bool = False
    skipped: tuple[str, ...] = ()
    hint: str = ""
    by: str = ""
    how: str = ""
    copies: tuple[Copy, ...] = ()


def look_at(session: Session, environment: str, service: str, machine: str) -> HostStatus:
    """Observe one host; `machine` is relman.rollout.state.lease.this_machine. Raises what `observe` raises."""
    told, seen = session.connection.together(
        partial(last_told, session, environment, service), partial(observe, session, environment, service)
    )
    answer: ProbeResult | None = None
    entry = seen.record.serving
    if seen.serving and entry:
        answer = probe_now(session, seen.serving, entry.settings)
    by, how = put_there(entry, told) if entry else ("", "")
    return replace(summarise(seen, service, answer, machine), by=by, how=how)


def unseen(host: str, service: str, error: RelmanError) -> HostStatus:
    """The row of a host that could not be observed. Pure."""
    word = "no answer" if isinstance(error, Unreachable) else "unknown"
    return HostStatus(
        host, service, health=word, unreachable=True, state=Condition.UNKNOWN, why=error.what, hint=error.hint
    )


def summarise(seen: Observed, service: str, answer: ProbeResult | None, machine: str) -> HostStatus:
    """Summarise an observation; `answer` is the result of the health check, if one was run. Pure."""
    entry, container, last = seen.record.serving, in_place(seen), last_one(seen)
    state, why = condition(seen, answer, machine)
    row = HostStatus(
        host=seen.host,
        service=service,
        serving=bool(seen.serving),
        release=release_of(entry, container),
        manifest=manifest_of(entry, container),
        since=container.started_at if container else "",
        health=_health(state, entry, container, answer),
        notes=(*_skipped(entry), *lock_note(seen, machine)),
        drift=bool(drift(entry, container)) and state is not Condition.UNDER_WAY,
        interrupted=interrupted(seen, machine) is not None,
        left_out=seen.record.left_out,
        under_way=state is Condition.UNDER_WAY,
        state=state,
        why=why,
        container=last.name if last else "",
        port_holder=_port_holder(seen, last) if last else "",
        copies=seen.copies,
    )
    return _remembering(row, seen, entry) if entry else row


def _remembering(row: HostStatus, seen: Observed, entry: Deployed) -> HostStatus:
    target = before(seen.record, entry)
    return replace(
        row,
        rollback=target.release if target else "",
        rollback_kept=bool(target and kept_in(seen.images, target)),
        deployed_at=entry.at,
        recorded_release=entry.release,
        recorded_manifest=str(entry.manifest),
        proven=entry.proven,
        skipped=entry.skipped,
    )


def _skipped(entry: Deployed | None) -> tuple[str, ...]:
    return tuple(f"{entry.release}: {skip}" for skip in entry.skipped) if entry else ()


def _health(state: Condition, entry: Deployed | None, container: Container | None, answer: ProbeResult | None) -> str:
    if state is Condition.PAUSED or (container and container.paused):
        return "paused"
    if state in DARK or container is None:
        return state if state in DARK else "not serving"
    if answer is None:
        return "runs, not checked"
    if answer.barred:
        return "runs, health not checked"
    said = answer.detail if answer.ok else f"unhealthy: {answer.detail}"
    return said if entry is None or entry.verified else f"{said}, unverified"


def _port_holder(seen: Observed, last: Container) -> str:
    """The container that holds a port of one that does not run."""
    owners = (owner for port in sorted(last.host_ports) for owner in seen.owners_of(port))
    return next((o for o in owners if o != last.name), "") if not last.alive else ""


def with_absences(rows: Sequence[HostStatus]) -> list[HostStatus]:
    """The rows, with a note on each host that was excluded from a deployment and has not caught up. Pure.

    The other hosts' records say so, and the note quotes them.
    """
    return [replace(row, notes=(*row.notes, *_missed(row, rows))) for row in rows]


def _missed(row: HostStatus, rows: Sequence[HostStatus]) -> list[str]:
    """The last exclusion of this host in each other host's record, equal ones once."""
    says: dict[Absence, list[str]] = {}
    for other in rows:
        told = [a for a in other.left_out if a.host == row.host]
        if told and other.host != row.host and (other.service == row.service or not row.service):
            says.setdefault(max(told, key=lambda a: a.at), []).append(other.host)
    return [_absence(a, hosts) for a, hosts in says.items() if row.manifest != a.manifest and row.deployed_at <= a.at]


def _absence(absence: Absence, hosts: Sequence[str]) -> str:
    who = f"{', '.join(hosts)} {'says' if len(hosts) == 1 else 'say'} that it"
    what = f"was left out of {absence.release} by {absence.by} at {absence.at}: {absence.reason}"
    return f"{who} {what}"
