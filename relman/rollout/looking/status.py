"""What runs where, by the hosts themselves and not by the ledger or the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from relman.hosts.health_probe import ProbeResult
from relman.model.container import Container, Copy
from relman.model.errors import RelmanError, Unreachable
from relman.model.plan import Observed
from relman.model.state_dir.record import Absence, Deployed, Peer, kept_in
from relman.rollout.fleet import Session
from relman.rollout.health import probe_now
from relman.rollout.looking.condition import (
    DARK,
    Answers,
    Condition,
    condition,
    counted,
    drift,
    in_place,
    interrupted,
    lacking_processes,
    last_ones,
    lock_note,
    manifest_of,
    rehearsal_note,
    release_of,
)
from relman.rollout.looking.history import last_told, put_there
from relman.rollout.looking.observe import observe
from relman.rollout.looking.routed import reach
from relman.rollout.planning.rollback_target import before
from relman.rollout.proxy.status import ProxyStatus

_RUNS = (Condition.WELL, Condition.UNASKED, Condition.UNHEALTHY, Condition.PAUSED)


@dataclass(frozen=True)
class UnitStatus:
    """One container of a service with processes; `status` is the engine's word, `since` RFC 3339."""

    process: str
    replica: int
    container: str
    status: str
    health: str
    since: str
    restarts: int


@dataclass(frozen=True)
class HostStatus:
    """One service on one host.

    `state` and `why` summarise it. `release` and `manifest` are those of what runs (if nothing runs, the record's);
    `recorded_release` and `recorded_manifest` the record's; `proven` whether the record calls that proven good;
    `skipped` the gates that a person skipped for it. `since` is RFC 3339; `health` is for people; `rollback` is the
    release that a rollback would restore ("" if none) and `rollback_kept` whether the host has its image.
    `containers` are the names of those that occupy, or last occupied, the service's place, of the unhealthy ones
    alone if there are any; `port_holder` is another one that has taken a port of theirs. Of a service with
    processes, `units` are all its containers, `counted` how many of each process run, `lacking` the processes of
    which none runs. `left_out` are the hosts that were excluded when this one was last deployed to. `under_way` is
    whether a live deployment explains what was observed; `unreachable` whether nothing is known, in which case
    `hint` may help. `by` and `how` (deployed, rolled back, recovered) say who started the recorded release.
    `copies` are the service's containers of other environments. `peers` are the hosts that its record names.
    `proxy` is the host's, where the service is behind it and runs.
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
    containers: tuple[str, ...] = ()
    port_holder: str = ""
    proven: bool = False
    skipped: tuple[str, ...] = ()
    hint: str = ""
    by: str = ""
    how: str = ""
    copies: tuple[Copy, ...] = ()
    units: tuple[UnitStatus, ...] = ()
    counted: str = ""
    lacking: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()
    proxy: ProxyStatus | None = None


def look_at(session: Session, environment: str, service: str, machine: str) -> HostStatus:
    """Observe one host; `machine` is relman.rollout.state.lease.this_machine. Raises what `observe` raises."""
    told, seen = session.connection.together(
        partial(last_told, session, environment, service), partial(observe, session, environment, service)
    )
    entry = seen.record.serving
    answers: Answers = {}
    if entry:
        runs = entry.settings.run_of
        found = session.connection.together(*(partial(probe_now, session, c, runs(c.process)) for c in seen.serving))
        answers = {c.id: answer for c, answer in zip(seen.serving, found, strict=True)}
    by, how = put_there(entry, told) if entry else ("", "")
    row = replace(summarise(seen, service, answers, machine), by=by, how=how)
    if row.state not in _RUNS:
        return row
    way = reach(session, environment, service, seen)
    row = replace(row, notes=(*row.notes, *way.notes), proxy=way.proxy)
    if way.state is Condition.WELL:
        return row
    return replace(row, serving=False, state=way.state, why=way.why, health=way.state)


def unseen(host: str, service: str, error: RelmanError) -> HostStatus:
    """The row of a host that could not be observed. Pure."""
    word = "no answer" if isinstance(error, Unreachable) else "unknown"
    return HostStatus(
        host, service, health=word, unreachable=True, state=Condition.UNKNOWN, why=error.what, hint=error.hint
    )


def summarise(seen: Observed, service: str, answers: Answers, machine: str) -> HostStatus:
    """Summarise an observation; `answers` are the results of the health checks that were run. Pure."""
    entry, placed, last = seen.record.serving, in_place(seen), last_ones(seen)
    state, why = condition(seen, answers, machine)
    sick = [c for c in last if not c.alive] or [c for c in last if _is_sick(c, answers)] or last
    row = HostStatus(
        host=seen.host,
        service=service,
        serving=bool(seen.serving),
        release=release_of(entry, placed),
        manifest=manifest_of(entry, placed),
        since=max((c.started_at for c in placed), default=""),
        health=_health(state, entry, placed, answers),
        notes=(*_skipped(entry), *lock_note(seen, machine), *rehearsal_note(seen, machine)),
        drift=bool(drift(entry, placed)) and state is not Condition.UNDER_WAY,
        interrupted=interrupted(seen, machine) is not None,
        left_out=seen.record.left_out,
        under_way=state is Condition.UNDER_WAY,
        state=state,
        why=why,
        containers=tuple(c.name for c in sick),
        port_holder=next(filter(None, (_port_holder(seen, c) for c in last)), ""),
        copies=seen.copies,
        lacking=lacking_processes(seen),
        units=tuple(_unit(c, answers) for c in last if c.process),
        counted=counted(entry, placed) if entry and entry.units else "",
        peers=seen.record.peers,
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


def _is_sick(container: Container, answers: Answers) -> bool:
    answer = answers.get(container.id)
    return not container.running or bool(answer and not answer.ok)


def _unit(container: Container, answers: Answers) -> UnitStatus:
    answer = answers.get(container.id)
    return UnitStatus(
        process=container.process,
        replica=int(replica) if (replica := container.slot[1]).isdecimal() else 0,
        container=container.name,
        status=container.status,
        health=answer.detail if answer else "",
        since=container.started_at,
        restarts=container.restart_count,
    )


def _health(state: Condition, entry: Deployed | None, placed: Sequence[Container], answers: Answers) -> str:
    if state is Condition.PAUSED or any(c.paused for c in placed):
        return "paused"
    if state in DARK or not placed:
        return state if state in DARK else "not serving"
    found = [(c, answers.get(c.id)) for c in placed]
    if any(answer is None for _, answer in found):
        return "runs, not checked"
    worst, answer = min(found, key=lambda f: _rank(f[1]))
    if answer is None or answer.barred:
        return "runs, health not checked"
    which = f"{worst.process} " if worst.process and not answer.ok else ""
    said = answer.detail if answer.ok else f"{which}unhealthy: {answer.detail}"
    if entry and entry.units:
        return f"{said}: {counted(entry, placed)}" if answer.ok else said
    return said if entry is None or entry.verified else f"{said}, unverified"


def _rank(answer: ProbeResult | None) -> tuple[bool, bool, bool]:
    """Orders answers: unhealthy, not checked, healthy, and last those that have no check beside others that have."""
    if answer is None:
        return (False, False, False)
    return (answer.ok, not answer.barred, answer.detail != "healthy")


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
