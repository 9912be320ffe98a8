"""Resolve an interrupted deployment: finish it where it was all but done, else put back what ran before."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relman.model.errors import Locked, MixedFleet, NotServing, RelmanError
from relman.model.plan import Action, Interruption, Kind, Leftover, Observed, Outcome, Plan, Result, Step
from relman.model.record import Intent, Lock, Phase
from relman.rollout import steps
from relman.rollout.executor import Report
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.health import StepFailed, await_healthy
from relman.rollout.lease import is_dead, this_machine
from relman.rollout.operation import held, locked, look
from relman.rollout.planner import Asked
from relman.rollout.prune import record_and_prune
from relman.rollout.steps import Change, find


@dataclass(frozen=True)
class Recovery:
    """What was found interrupted, and whether it is to be finished (else undone)."""

    interruptions: tuple[Interruption, ...]
    finish: bool
    why: str


def interruptions(fleet: Sequence[Observed], machine: str) -> tuple[Interruption, ...]:
    """What dead holders left behind, host by host. Raises Locked when a holder lives."""
    found = []
    for seen in fleet:
        if seen.lock is None:
            continue
        if not is_dead(seen.lock, machine):
            raise held(seen.host, seen.lock)
        if seen.lock.lock:
            found.append(_interruption(seen, seen.lock.lock))
    return tuple(found)


def _interruption(seen: Observed, lock: Lock) -> Interruption:
    intent = lock.intent if lock.phase is not Phase.HELD else None
    return Interruption(seen.host, lock.deployment, lock.owner, _leftover(seen, intent), intent)


def _leftover(seen: Observed, intent: Intent | None) -> Leftover:
    if intent is None:
        return Leftover.NOTHING
    new = any(c.name == intent.new_name for c in seen.running)
    old = any(c.id == intent.old for c in seen.running)
    return {(True, True): Leftover.BOTH, (True, False): Leftover.NEW, (False, True): Leftover.OLD}.get(
        (new, old), Leftover.GAP
    )


def decide(found: Sequence[Interruption], fleet: Sequence[Observed], finish: bool | None) -> Recovery:
    """Finish when a host already says in its record that it is done, or when the new container runs on every host that
    was to change; else undo. A person's own word (`finish`) wins. Pure."""
    begun = [i for i in found if i.intent]
    if finish is not None:
        return Recovery(tuple(found), finish, "as you asked")
    recorded = {seen.record.current for seen in fleet}
    if any(i.intent.entry.id in recorded for i in begun if i.intent):
        return Recovery(tuple(found), True, "it had already been recorded as done on a host")
    if begun and len(begun) == len(found) and all(i.leftover in (Leftover.NEW, Leftover.BOTH) for i in begun):
        return Recovery(tuple(found), True, "the new release runs on every host")
    return Recovery(tuple(found), False, "the new release does not run everywhere")


def recover(
    fleet: Fleet, asked: Asked, watcher: Watcher, cancel: threading.Event, finish: bool | None = None
) -> Report:
    """Take over what dead holders left, hosts that serve nothing first, and finish or undo it.

    Raises Locked when a holder lives.
    """
    seen = {o.host: o for o in look(fleet, asked)}
    found = interruptions(tuple(seen.values()), this_machine())
    recovery = decide(found, tuple(seen.values()), finish)
    by_host = {i.host: i for i in recovery.interruptions}
    with locked(fleet, asked, f"recovering {asked.service}", watcher, adopt=True):
        if by_host:
            watcher.say(f"{'finishing' if recovery.finish else 'undoing'} it: {recovery.why}")
        outcomes = _mend(fleet, asked, by_host, seen, recovery.finish, watcher, cancel)
    plan = Plan(asked.id, Kind.RECOVER, asked.service, asked.environment, _release(found), (), tuple(seen))
    return Report(plan, tuple(outcomes[h] for h in seen), _error(asked, outcomes))


def _release(found: Sequence[Interruption]) -> str:
    return next((i.intent.entry.release for i in found if i.intent), "")


def _mend(
    fleet: Fleet,
    asked: Asked,
    by_host: Mapping[str, Interruption],
    seen: Mapping[str, Observed],
    finish: bool,
    watcher: Watcher,
    cancel: threading.Event,
) -> dict[str, Outcome]:
    outcomes = {host: Outcome(host, Result.UNCHANGED, "was not touched") for host in seen}

    def one(session: Session) -> Outcome:
        found = by_host[session.host.name]
        watcher.host(session.host.name, "finishing" if finish else "going back")
        if found.intent is None:
            return Outcome(session.host.name, Result.UNCHANGED, "was not touched")
        if finish:
            return _finish(session, asked, found.intent, seen[session.host.name], cancel)
        return steps.undo(session, found.intent, seen[session.host.name].record.serving)

    gaps = [h for h, i in by_host.items() if i.leftover is Leftover.GAP]
    for hosts in (gaps, [h for h in by_host if h not in gaps]):
        done = fleet.each(one, hosts)
        outcomes |= done.answers
        outcomes |= {h: Outcome(h, Result.FAILED, e.what, e.details) for h, e in done.errors.items()}
    return outcomes


def _finish(session: Session, asked: Asked, intent: Intent, seen: Observed, cancel: threading.Event) -> Outcome:
    step = Step(
        host=session.host.name,
        action=Action.REPLACE,
        entry=intent.entry,
        old=intent.old,
        old_restart=intent.old_restart,
        stop_first=intent.stop_first,
    )
    kind = Kind.ROLLBACK if intent.rollback else Kind.DEPLOY
    plan = Plan(
        asked.id, kind, asked.service, asked.environment, intent.entry.release, (), keep=intent.entry.settings.keep
    )
    new = find(session, intent.new_name)
    if new is None:
        raise StepFailed(f"its new container {intent.new_name} is gone; relman recover --undo puts the old one back")
    if not new.running:
        session.engine.start(new.id)
    healthy = await_healthy(session, new.id, intent.entry.settings, cancel)
    steps.read_back(session, step, healthy.container)
    steps.commit(session, step, new.id)
    record_and_prune(session, plan, step, Change(new.id), seen, proven=True)
    return Outcome(session.host.name, Result.CHANGED, intent.entry.release)


def _error(asked: Asked, outcomes: Mapping[str, Outcome]) -> RelmanError | None:
    bad = [o for o in outcomes.values() if o.result in (Result.FAILED, Result.NOT_SERVING)]
    if not bad:
        return None
    kind = NotServing if any(o.result is Result.NOT_SERVING for o in bad) else MixedFleet
    return kind(
        f"the recovery of {asked.service} in {asked.environment} did not succeed everywhere",
        details=[f"{o.host}: {o.detail}" for o in bad],
        hint=f"relman status -e {asked.environment} shows every host; relman recover can be run again",
    )


def heal_gaps(fleet: Fleet, asked: Asked, watcher: Watcher) -> tuple[str, ...]:
    """Start the old container on every host that a dead holder left inside its gap, and leave the rest to `recover`."""
    seen = look(fleet, asked)
    try:
        found = interruptions(seen, this_machine())
    except Locked:
        return ()
    gaps = {i.host: i.intent for i in found if i.leftover is Leftover.GAP and i.intent and i.intent.old}

    def one(session: Session) -> None:
        intent = gaps[session.host.name]
        if intent.old:
            session.engine.start(intent.old)

    healed = fleet.each(one, gaps)
    for host in healed.answers:
        watcher.say(f"{host} served nothing since an earlier deployment died there: the container before was started")
    return tuple(healed.answers)
