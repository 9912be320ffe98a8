"""The state of one service on one host. Pure: from what was observed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from enum import StrEnum

from relman.docker.answers import clock
from relman.hosts.health_probe import ProbeResult
from relman.model.container import MANIFEST, RELEASE, Container
from relman.model.plan import Observed
from relman.model.state_dir.lock import Intent, Lock, Phase
from relman.model.state_dir.record import Deployed
from relman.rollout.planning.recovery_decision import dark
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
    UNPROXIED = "proxy down"  # it runs, and the proxy that leads to it does not, or has not loaded its configuration
    UNROUTED = "not routed"  # it runs, and the proxy leads elsewhere
    DRIFTED = "drifted"  # what runs is not what was deployed
    DOUBLED = "doubled"  # more than one container of it runs
    PAUSED = "paused"
    UNHEALTHY = "unhealthy"
    UNASKED = "health not asked"  # it runs, and its health cannot be checked
    WELL = "well"


DARK = (Condition.ABSENT, Condition.GONE, Condition.STOPPED, Condition.ENDED, Condition.CRASHING)
UNREACHED = (Condition.UNPROXIED, Condition.UNROUTED)


Answers = Mapping[str, ProbeResult]
"""Results of health checks, by container id."""


def condition(seen: Observed, answers: Answers, machine: str) -> tuple[Condition, str]:
    """The state and its reason, for people. `answers` are the results of the health checks that were run; `machine` is
    relman.rollout.state.lease.this_machine."""
    if under_way(seen, machine):
        return Condition.UNDER_WAY, ""
    placed, entry = in_place(seen), seen.record.serving
    if not placed:
        return _dark(seen, entry)
    for container in placed:
        answer = answers.get(container.id)
        well = answer is None or answer.ok or answer.barred
        if container.status == "restarting" or (_restarted_lately(seen, container) and not well):
            return Condition.CRASHING, f"{container.name} crashes again and again ({_crashes(container)})"
    if entry and (lacking := lacking_processes(seen)):
        return _dark_process(seen, entry, lacking[0])
    if differs := drift(entry, placed):
        return Condition.DRIFTED, differs
    if seen.extra:
        return Condition.DOUBLED, f"{', '.join(c.name for c in seen.extra)} runs beside {placed[0].name}"
    return min(
        (_running(seen, c, answers.get(c.id)) for c in placed), key=lambda found: list(Condition).index(found[0])
    )


def in_place(seen: Observed) -> tuple[Container, ...]:
    """The containers that run, or at least have the service's place."""
    placed, running = seen.in_place, seen.serving
    return placed if not running or any(c in placed for c in running) else running


def last_ones(seen: Observed) -> tuple[Container, ...]:
    """The containers that should run, also where they do not any more; else whichever have their place."""
    entry, placed = seen.record.serving, in_place(seen)
    if entry is None or not {c.slot for c in placed} < {u.slot for u in entry.parts}:
        return placed
    found = [c for c in seen.containers if c.id in entry.ids] or list(seen.containers_of(entry.id))
    slots = {c.slot for c in placed}
    return (*placed, *(c for c in found if c.slot not in slots))


def lacking_processes(seen: Observed) -> tuple[str, ...]:
    """The processes of the release that serves of which no container runs, neither its own nor one that an interrupted
    change put in its place, while others do."""
    entry, placed = seen.record.serving, in_place(seen)
    if entry is None or not entry.units or not any(c.id in entry.ids for c in placed):
        return ()
    there = {c.process for c in (*placed, *seen.running)}
    return tuple(p.name for p in entry.settings.parts if p.name not in there)


def _dark(seen: Observed, entry: Deployed | None) -> tuple[Condition, str]:
    if entry is None:
        return Condition.ABSENT, "nothing was deployed there"
    last = next(iter(last_ones(seen)), None)
    if last is None:
        return Condition.GONE, f"the container of {entry.release} was removed"
    return _ended(last)


def _dark_process(seen: Observed, entry: Deployed, process: str) -> tuple[Condition, str]:
    last = next((c for c in last_ones(seen) if c.process == process), None)
    if last is None:
        return Condition.GONE, f"the container of {process} of {entry.release} was removed"
    return _ended(last)


def _ended(last: Container) -> tuple[Condition, str]:
    if last.error:
        return Condition.STOPPED, f"{last.name} could not be started: {last.error}"
    if last.status == "created":
        return Condition.STOPPED, f"{last.name} was never started"
    if last.restart_policy in _COMES_BACK:
        return Condition.STOPPED, f"{last.name} was stopped by hand"
    memory = ", it used more memory than it may" if last.oom_killed else ""
    return Condition.ENDED, f"{last.name} ended with exit code {last.exit_code}{memory}"


def _running(seen: Observed, container: Container, answer: ProbeResult | None) -> tuple[Condition, str]:
    which = f"{container.process}: " if container.process else ""
    if container.paused:
        return Condition.PAUSED, f"{container.name} is paused"
    if answer and not answer.ok and not answer.barred:
        return Condition.UNHEALTHY, f"{which}{answer.detail}"
    if _restarted_lately(seen, container):
        return Condition.UNHEALTHY, f"{container.name} crashed less than a minute ago ({_crashes(container)})"
    if answer and answer.barred:
        return Condition.UNASKED, f"{which}{answer.detail}"
    return Condition.WELL, ""


def _restarted_lately(seen: Observed, container: Container) -> bool:
    with contextlib.suppress(ValueError):
        return container.restart_count > 0 and seen.facts.clock - clock(container.started_at) < _LATELY
    return False


def _crashes(container: Container) -> str:
    times = "once" if container.restart_count == 1 else f"{container.restart_count} times"
    return ", ".join(filter(None, (container.end, f"restarted {times}")))


def drift(entry: Deployed | None, placed: Sequence[Container]) -> str:
    """How the container differs from the record, or ""."""
    if entry is None:
        return f"{placed[0].name} runs, and is in no record" if placed else ""
    if not placed:
        return f"the record says {entry.release}, and nothing runs"
    for container in placed:
        if container.image_id != entry.image_id:
            digest = _short(manifest_of(entry, [container])) or container.image_id.short
            runs = f"{release_of(entry, [container])} ({digest})"
            return f"the record says {entry.release} ({entry.manifest.short}), and {runs} runs"
        if container.id not in entry.ids:
            return f"{container.name} was not started by the last deployment"
    if len(placed) < len(entry.parts):
        return f"not all containers run: {counted(entry, placed)}"
    return ""


def counted(entry: Deployed, placed: Sequence[Container]) -> str:
    """How many containers of each process run, of how many: `web 2/2, worker 1/2`."""
    return ", ".join(f"{p.name} {sum(c.process == p.name for c in placed)}/{p.replicas}" for p in entry.settings.parts)


def release_of(entry: Deployed | None, placed: Sequence[Container]) -> str:
    """The release that runs; where nothing does, the record's."""
    if not placed:
        return entry.release if entry else ""
    return placed[0].labels.get(RELEASE) or placed[0].name


def manifest_of(entry: Deployed | None, placed: Sequence[Container]) -> str:
    """The digest of what runs; if nothing runs, the record's."""
    if not placed:
        return str(entry.manifest) if entry else ""
    return placed[0].labels.get(MANIFEST, "")


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
    olds = {o.container for o in intent.olds}
    running = [*seen.running, *(c for c in seen.foreign if c.running)]
    if not all(c.id in olds or _is_new(c, intent) for c in running):
        return False
    return lock.phase is Phase.RETURNING or not any(_unexplained(seen, intent, p) for p in dark(intent, running))


def _unexplained(seen: Observed, intent: Intent, process: str) -> bool:
    """Whether a process of which nothing runs is not between its old and its new containers: these had run already."""
    news = {u.name for u in intent.news if u.process == process}
    began = [c for c in seen.containers if c.name in news and c.status != "created" and not intent.reuses(c.name)]
    return bool(began) or not intent.stops_first(process)


def _is_new(container: Container, intent: Intent) -> bool:
    return container.name in {u.name for u in intent.news} and container.image_id == intent.entry.image_id


def rehearsal_note(seen: Observed, machine: str) -> tuple[str, ...]:
    """A note on what a rehearsal left that no longer lives: it does not serve."""
    if not seen.rehearsals or (seen.lock and not is_dead(seen.lock, machine)):
        return ()
    return (f"left by a rehearsal: {', '.join(seen.rehearsals)}; the next deploy, rollback or recover removes it",)


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
