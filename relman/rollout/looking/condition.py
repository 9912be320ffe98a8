"""The state of one service on one host. Pure: from what was observed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from enum import StrEnum

from relman.docker.answers import clock
from relman.hosts.health_probe import ProbeResult
from relman.model.container import MANIFEST, RELEASE, Container
from relman.model.plan import Observed
from relman.model.record import Deployed, Intent, Lock, Phase
from relman.rollout.state.lease import is_dead

_LATELY = 60.0  # seconds: the engine's longest delay before it restarts a container
_COMES_BACK = ("always", "unless-stopped")


class Condition(StrEnum):
    """The state of a service on a host, the gravest first."""

    UNKNOWN = "unknown"  # the host could not be observed
    UNDER_WAY = "under way"  # a live deployment explains what was observed
    ABSENT = "nothing deployed"
    GONE = "removed"  # the record has a release, and its container does not exist
    STOPPED = "stopped"  # by a person, or the engine could not start it: it did not exit
    ENDED = "ended"  # it exited, and its restart policy does not restart it
    CRASHING = "crashing"  # it exits repeatedly, and is not healthy in between
    DRIFTED = "drifted"  # what runs is not what was deployed
    DOUBLED = "doubled"  # more than one container of it runs
    PAUSED = "paused"
    UNHEALTHY = "unhealthy"
    UNASKED = "health not asked"  # it runs, and its health cannot be checked
    WELL = "well"


DARK = (Condition.ABSENT, Condition.GONE, Condition.STOPPED, Condition.ENDED, Condition.CRASHING)


def condition(seen: Observed, answer: ProbeResult | None, machine: str) -> tuple[Condition, str]:
    """The state and its reason, for people. `answer` is the result of the health check, if one was run; `machine` is
    relman.rollout.state.lease.this_machine."""
    if under_way(seen, machine):
        return Condition.UNDER_WAY, ""
    container, entry = in_place(seen), seen.record.serving
    if container is None:
        return _dark(seen, entry)
    well = answer is None or answer.ok or answer.barred
    if container.status == "restarting" or (_restarted_lately(seen, container) and not well):
        return Condition.CRASHING, f"{container.name} crashes again and again ({_crashes(container)})"
    if differs := drift(entry, container):
        return Condition.DRIFTED, differs
    if seen.extra:
        return Condition.DOUBLED, f"{', '.join(c.name for c in seen.extra)} runs beside {container.name}"
    return _running(seen, container, answer)


def in_place(seen: Observed) -> Container | None:
    """The container that runs, or else occupies the service's place."""
    return seen.serving or seen.in_place


def last_one(seen: Observed) -> Container | None:
    """The container that should run, even if it has stopped; else the one in place."""
    entry = seen.record.serving
    found = next((c for c in seen.containers if entry and c.id == entry.container), None)
    return in_place(seen) or found or (seen.container_of(entry.id) if entry else None)


def _dark(seen: Observed, entry: Deployed | None) -> tuple[Condition, str]:
    if entry is None:
        return Condition.ABSENT, "nothing was deployed there"
    last = last_one(seen)
    if last is None:
        return Condition.GONE, f"the container of {entry.release} was removed"
    if last.error:
        return Condition.STOPPED, f"{last.name} could not be started: {last.error}"
    if last.status == "created":
        return Condition.STOPPED, f"{last.name} was never started"
    if last.restart_policy in _COMES_BACK:
        return Condition.STOPPED, f"{last.name} was stopped by hand"
    memory = ", it used more memory than it may" if last.oom_killed else ""
    return Condition.ENDED, f"{last.name} ended with exit code {last.exit_code}{memory}"


def _running(seen: Observed, container: Container, answer: ProbeResult | None) -> tuple[Condition, str]:
    if container.paused:
        return Condition.PAUSED, f"{container.name} is paused"
    if answer and not answer.ok and not answer.barred:
        return Condition.UNHEALTHY, answer.detail
    if _restarted_lately(seen, container):
        return Condition.UNHEALTHY, f"{container.name} crashed less than a minute ago ({_crashes(container)})"
    if answer and answer.barred:
        return Condition.UNASKED, answer.detail
    return Condition.WELL, ""


def _restarted_lately(seen: Observed, container: Container) -> bool:
    with contextlib.suppress(ValueError):
        return container.restart_count > 0 and seen.facts.clock - clock(container.started_at) < _LATELY
    return False


def _crashes(container: Container) -> str:
    return f"exit code {container.exit_code}, restarted {container.restart_count} times"


def drift(entry: Deployed | None, container: Container | None) -> str:
    """How the container differs from the record, or ""."""
    if entry is None:
        return f"{container.name} runs, and is in no record" if container else ""
    if container is None:
        return f"the record says {entry.release}, and nothing runs"
    if container.image_id != entry.image_id:
        runs = f"{release_of(entry, container)} ({_short(manifest_of(entry, container)) or container.image_id.short})"
        return f"the record says {entry.release} ({entry.manifest.short}), and {runs} runs"
    if container.id != entry.container:
        return f"{container.name} was not started by the last deployment"
    return ""


def release_of(entry: Deployed | None, container: Container | None) -> str:
    """The release that runs; if nothing runs, the record's."""
    if container is None:
        return entry.release if entry else ""
    return container.labels.get(RELEASE) or container.name


def manifest_of(entry: Deployed | None, container: Container | None) -> str:
    """The digest of what runs; if nothing runs, the record's."""
    if container is None:
        return str(entry.manifest) if entry else ""
    return container.labels.get(MANIFEST, "")


def _short(manifest: str) -> str:
    return manifest.removeprefix("sha256:")[:12]


def under_way(seen: Observed, machine: str) -> bool:
    """Whether a live holder of the lock explains what was observed."""
    if seen.lock is None or is_dead(seen.lock, machine):
        return False
    return not drift(seen.record.serving, in_place(seen)) or _meant(seen)


def _meant(seen: Observed) -> bool:
    """Whether the lock's intent explains what runs or, during a gap, that nothing does."""
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


def interrupted(seen: Observed, machine: str) -> Lock | None:
    """The lock of a holder that died during a change, or None."""
    lock = seen.lock.lock if seen.lock and is_dead(seen.lock, machine) else None
    return lock if lock and lock.phase is not Phase.HELD else None


def lock_note(seen: Observed, machine: str) -> tuple[str, ...]:
    """A note on who is deploying, or was when interrupted."""
    if lock := interrupted(seen, machine):
        return (f"interrupted: {lock.owner} was {lock.message}",)
    if seen.lock is None or is_dead(seen.lock, machine):
        return ()
    if seen.lock.lock is None:
        return ("another command is taking the lock",)
    lock, age = seen.lock.lock, seen.lock.age
    since = f" since {lock.since}" if lock.since else ""
    return (f"{_DOING[lock.phase]} by {lock.owner}{since}: {lock.message} (last seen {age:.0f} s ago)",)


_DOING: Mapping[Phase, str] = {
    Phase.HELD: "locked",
    Phase.CHANGING: "being deployed",
    Phase.RETURNING: "being rolled back",
    Phase.REMOVING: "being removed",
}
