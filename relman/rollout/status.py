"""What runs where, from the hosts themselves: nothing here trusts the ledger or the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from relman.model.container import MANIFEST, RELEASE, Container
from relman.model.errors import Drift, Interrupted, MixedFleet, NotServing, RelmanError, Unreachable
from relman.model.plan import Observed
from relman.model.record import Absence, Deployed, FoundLock, Intent, Phase, kept_in
from relman.rollout.fleet import Session
from relman.rollout.health import probe_now
from relman.rollout.history import last_told, put_there
from relman.rollout.lease import is_dead
from relman.rollout.observe import observe
from relman.rollout.target import before


@dataclass(frozen=True)
class HostStatus:
    """One host and one service on it.

    `release` and `manifest` are those of what runs (of the record where nothing does), `recorded_…` those of the
    record. `since` is RFC 3339; `health` is for people; `rollback` is what a rollback would restore ("" when
    there is none) and `rollback_kept` whether the host still holds its image; `left_out` are the other hosts that took
    no part when this one was last deployed to; `under_way`: somebody is at work, whose lock explains all that is seen.
    `by` put there what the record says, in the way that `how` says: deployed, rolled back, recovered.
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
    by: str = ""
    how: str = ""


def look_at(session: Session, environment: str, service: str, machine: str) -> HostStatus:
    """See one host; `machine` is relman.rollout.lease.this_machine. Raises what observing raises."""
    told, seen = session.connection.together(
        partial(last_told, session, environment, service), partial(observe, session, environment, service)
    )
    health = ""
    entry = seen.record.serving
    if seen.serving and entry:
        answer = probe_now(session, seen.serving, entry.settings)
        health = answer if entry.verified else f"{answer}, unverified"
    by, how = put_there(entry, told) if entry else ("", "")
    return replace(summarise(seen, service, health, machine), by=by, how=how)


def summarise(seen: Observed, service: str, health: str, machine: str) -> HostStatus:
    """Say what was seen, in a person's words. Pure."""
    entry, container = seen.record.serving, seen.serving
    target = before(seen.record, entry) if entry else None
    dead = bool(seen.lock and is_dead(seen.lock, machine))
    middle = dead and bool(seen.lock and seen.lock.lock and seen.lock.lock.phase is not Phase.HELD)
    differs = _drift(entry, container)
    under_way = bool(seen.lock and not dead) and (not differs or _meant(seen))
    drift = "" if under_way else differs
    extra = [] if under_way else [c.name for c in seen.running if c != container]
    notes = [
        *([drift] if drift else []),
        *([f"also running: {', '.join(extra)}"] if extra else []),
        *([f"{entry.release}: {skip}" for skip in entry.skipped] if entry else []),
        *([_lock_note(seen.lock, middle)] if seen.lock and (middle or not dead) else []),
    ]
    return HostStatus(
        host=seen.host,
        service=service,
        serving=container is not None,
        release=_release(entry, container),
        manifest=_manifest(entry, container),
        since=container.started_at if container else "",
        health=health if container else "not serving",
        rollback=target.release if target else "",
        rollback_kept=bool(target and kept_in(seen.images, target)),
        notes=tuple(notes),
        drift=bool(drift),
        interrupted=middle,
        deployed_at=entry.at if entry else "",
        left_out=seen.record.left_out,
        recorded_release=entry.release if entry else "",
        recorded_manifest=str(entry.manifest) if entry else "",
        under_way=under_way,
    )


def _meant(seen: Observed) -> bool:
    """Whether the intent in the lock explains what runs, or, inside a gap, that nothing does."""
    lock = seen.lock.lock if seen.lock else None
    if lock is None or lock.phase is Phase.HELD:
        return False
    intent = lock.intent
    if lock.phase is Phase.REMOVING or intent is None:
        return True
    if seen.running:
        return all(c.id == intent.old or _is_new(c, intent) for c in seen.running)
    new = next((c for c in seen.containers if c.name == intent.new_name), None)
    began = new is not None and new.status != "created" and not intent.reused
    return lock.phase is Phase.RETURNING or (intent.stop_first and not began)


def _is_new(container: Container, intent: Intent) -> bool:
    return container.name == intent.new_name and container.image_id == intent.entry.image_id


def with_absences(rows: Sequence[HostStatus]) -> list[HostStatus]:
    """The rows, each host that was left out of a deployment and has not caught up since with a note. Pure: what is
    known of it stands in the other hosts' records."""
    return [replace(row, notes=(*row.notes, *_missed(row, rows))) for row in rows]


def _missed(row: HostStatus, rows: Sequence[HostStatus]) -> list[str]:
    others = [a for r in rows if r.service == row.service or not row.service for a in r.left_out if a.host == row.host]
    if not others:
        return []
    last = max(others, key=lambda a: a.at)
    if row.manifest == last.manifest or row.deployed_at > last.at:
        return []
    who = f"{last.by} on {last.at}: {last.reason}"
    return [f"was left out of {last.release} by {who}; relman deploy {last.release} brings it up to date"]


def _release(entry: Deployed | None, container: Container | None) -> str:
    if container is None:
        return entry.release if entry else ""
    return container.labels.get(RELEASE) or container.name


def _manifest(entry: Deployed | None, container: Container | None) -> str:
    if container is None:
        return str(entry.manifest) if entry else ""
    return container.labels.get(MANIFEST, "")


def _drift(entry: Deployed | None, container: Container | None) -> str:
    """How what runs differs from what the record says, or ""."""
    if entry is None:
        return f"{container.name} runs, and no record knows it" if container else ""
    if container is None:
        return f"the record says {entry.release}, and nothing runs"
    if container.image_id != entry.image_id:
        runs = f"{_release(entry, container)} ({_short(_manifest(entry, container)) or container.image_id.short})"
        return f"the record says {entry.release} ({entry.manifest.short}), and {runs} runs"
    if container.id != entry.container:
        return f"{container.name} was not put there by the last deployment"
    return ""


def _short(manifest: str) -> str:
    return manifest.removeprefix("sha256:")[:12]


def _lock_note(found: FoundLock, middle: bool) -> str:
    if found.lock is None:
        return "is being locked right now"
    lock = found.lock
    if middle:
        return f"left in the middle by {lock.owner}: {lock.message}; relman recover resolves it"
    since = f" since {lock.since}" if lock.since else ""
    return f"{_DOING[lock.phase]} by {lock.owner}{since}: {lock.message} (last sign of life {found.age:.0f} s ago)"


_DOING: Mapping[Phase, str] = {
    Phase.HELD: "locked",
    Phase.CHANGING: "being deployed",
    Phase.RETURNING: "being put back",
    Phase.REMOVING: "being removed",
}


def verdict(rows: Sequence[HostStatus]) -> RelmanError | None:
    """The error that this state of the fleet deserves, the gravest first; None when all is well or on its way. Pure."""
    dark = [r.host for r in rows if not r.serving and not r.unreachable and not r.under_way and r.recorded_manifest]
    if dark:
        return NotServing(f"not serving: {', '.join(dark)}")
    if any(r.interrupted for r in rows):
        return Interrupted("an earlier deployment was interrupted", hint="relman recover finishes or undoes it")
    away = [r.host for r in rows if r.unreachable]
    if away:
        return Unreachable(f"could not be looked at: {', '.join(away)}")
    if any(r.drift for r in rows):
        return Drift("what runs is not what was deployed", hint="relman deploy TAG puts it right")
    for service in {r.service for r in rows}:
        of_it = [r for r in rows if r.service == service]
        releases = {r.release for r in of_it}
        if len(releases) > 1 and not any(r.under_way for r in of_it):
            return MixedFleet(
                f"{service} runs in {len(releases)} releases", hint="relman deploy or rollback makes it one"
            )
    return None
