"""Resolve an interrupted deployment: finish it where only the record is missing, else restore what ran before.

The steps, each marked where it is done:

1. Take the locks, adopting the intents of dead holders.
2. Remove half-written files and what a rehearsal left, observe every host, and wait for tasks that still run.
3. Decide whether to finish or undo (planning/recovery_decision.py).
4. Complete removals; check the new release's health before finishing.
5. Undo, first on hosts that serve nothing; then finish.
6. Write the journals, and release the locks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from relman.model.errors import EngineError, Interrupted, StepFailed
from relman.model.plan import Action, Interruption, Kind, Leftover, Observed, Outcome, Result, Step, Turn
from relman.model.state_dir.lock import Intent, Phase
from relman.model.state_dir.record import Deployed, Unit
from relman.rollout import steps
from relman.rollout.busy_ports import held_port
from relman.rollout.commit import retire, serve
from relman.rollout.conclusion import Happened, failed
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.health import await_healthy, watched_of
from relman.rollout.looking.askable import stranger, why_mute
from relman.rollout.operation import look
from relman.rollout.planning.planner import Asked, bare_plan
from relman.rollout.planning.recovery_decision import RecoveryDecision, dark, decide, everywhere, interruptions
from relman.rollout.planning.rollback_target import unsafe_tasks
from relman.rollout.progress import Report, report_of
from relman.rollout.proxy.counting import counting
from relman.rollout.prune import record_and_prune
from relman.rollout.rehearsal.containers import clear_left
from relman.rollout.remove import take_away
from relman.rollout.secrets import hide_kept
from relman.rollout.state.journal import Journal
from relman.rollout.state.lease import is_dead, this_machine
from relman.rollout.state.locks import Patience, locked, sweep
from relman.rollout.steps import Change
from relman.rollout.tasks import await_leftovers
from relman.rollout.undo import find, undo

_EARLIER = "an earlier deployment was interrupted there"


def recover(
    fleet: Fleet,
    asked: Asked,
    watcher: Watcher,
    cancel: threading.Event,
    finish: bool | None = None,
    wait_lock: float = 0.0,
) -> Report:
    """Take over what dead holders left, and finish or undo it.

    Raises Locked if a holder is alive; Interrupted if undoing goes back past a task that is not marked rollback_safe,
    and nobody decided that it should.
    """
    patience = Patience(wait_lock, cancel)
    # Step 1.
    with locked(fleet, asked, f"recovering {asked.service}", watcher, adopt=True, patience=patience) as silent:
        # Step 2.
        fleet.each(lambda session: sweep(session, asked))
        seen = {o.host: o for o in look(fleet, asked)}
        clear_left(fleet, asked, tuple(seen.values()))
        await_leftovers(fleet, tuple(seen.values()), watcher)
        found = {h: s.lease.found for h, s in fleet.sessions.items() if s.lease and s.lease.found}
        # Step 3.
        recovery = decide(interruptions(tuple(seen.values())), tuple(seen.values()), finish)
        # Steps 4 and 5.
        with counting(fleet, _behind_proxies(recovery.interruptions, seen)) as users:
            outcomes = _Resolution(fleet, asked, seen, watcher, cancel).carry_out(recovery)
            counted = users.read()
        # Step 6.
        plan = bare_plan(asked, Kind.RECOVER, _release(recovery.interruptions), tuple(seen))
        happened = Happened(plan, tuple(outcomes[h] for h in seen), users=counted)
        journal = Journal(fleet, asked, watcher, seen, found)
        begun = {i.host: i.intent.entry for i in recovery.interruptions if i.intent}
        hide_kept(journal, [(h, (e, seen[h].record.serving)) for h, e in begun.items()])
        happened = journal.close(happened)
    return report_of(journal.released(happened, silent))


def _behind_proxies(found: Sequence[Interruption], seen: Mapping[str, Observed]) -> list[str]:
    serving = {i.host: seen[i.host].record.serving for i in found}
    return [host for host, entry in serving.items() if entry and entry.settings.proxied]


def _release(found: Sequence[Interruption]) -> str:
    """The interrupted release, if all hosts have the same one."""
    releases = {i.intent.entry.release for i in found if i.intent}
    return releases.pop() if len(releases) == 1 else ""


@dataclass
class _Resolution:
    """A recovery in progress, with all locks held."""

    fleet: Fleet
    asked: Asked
    seen: Mapping[str, Observed]
    watcher: Watcher
    cancel: threading.Event

    def carry_out(self, recovery: RecoveryDecision) -> dict[str, Outcome]:
        """Carry it out; returns one outcome for each host."""
        outcomes = {host: Outcome(host, Result.UNCHANGED, "was not touched") for host in self.seen}
        self._each({i.host: i for i in recovery.interruptions if i.phase is Phase.REMOVING}, self._remove, outcomes)
        begun = {i.host: i for i in recovery.interruptions if i.intent}
        if recovery.finish and not recovery.asked:
            recovery = self._checked({h: i for h, i in begun.items() if h not in recovery.recorded}, recovery)
        finished = begun if recovery.finish else {h: begun[h] for h in recovery.recorded}
        undone = {h: i for h, i in begun.items() if h not in finished}
        if undone:
            self._undo_all(undone, recovery, outcomes)
        if finished:
            where = "" if recovery.finish else f" on {', '.join(finished)}"
            self.watcher.say(f"finishing it{where}: {recovery.why if recovery.finish else 'recorded there as done'}")
            self._each(finished, lambda s, i: self._finish(s, i, recovery), outcomes)
        return outcomes

    def _undo_all(
        self, undone: Mapping[str, Interruption], recovery: RecoveryDecision, outcomes: dict[str, Outcome]
    ) -> None:
        """Undo it on these hosts, first on those that serve nothing."""
        self._require_decision(undone, recovery)
        self.watcher.say(f"undoing it: {recovery.why}")
        gaps = {h: i for h, i in undone.items() if i.leftover is Leftover.GAP}
        self._each(gaps, self._undo, outcomes)
        self._each({h: i for h, i in undone.items() if h not in gaps}, self._undo, outcomes)

    def _each(
        self,
        hosts: Mapping[str, Interruption],
        work: Callable[[Session, Interruption], Outcome],
        outcomes: dict[str, Outcome],
    ) -> None:
        done = self.fleet.each(lambda session: work(session, hosts[session.host.name]), hosts)
        outcomes |= done.answers
        outcomes |= {h: failed(h, e) for h, e in done.errors.items()}

    def _remove(self, session: Session, _: Interruption) -> Outcome:
        return take_away(session, self.asked, self.seen[session.host.name], self.watcher)

    def _undo(self, session: Session, found: Interruption) -> Outcome:
        assert found.intent  # noqa: S101
        self.watcher.host(session.host.name, "rolling back")
        return undo(session, found.intent, self.seen[session.host.name].record.serving)

    def _checked(self, begun: Mapping[str, Interruption], recovery: RecoveryDecision) -> RecoveryDecision:
        """The same decision, unless the new release is unhealthy on one of these hosts."""

        def one(session: Session) -> None:
            intent = begun[session.host.name].intent
            if intent:
                _prove(session, intent, self.asked, self.cancel)

        failed = self.fleet.each(one, begun).errors
        if not failed:
            return recovery
        for host, error in failed.items():
            self.watcher.say(f"{host}: {error.what}")
        return replace(recovery, finish=False, why=f"the new release is not healthy on {', '.join(failed)}")

    def _finish(self, session: Session, found: Interruption, recovery: RecoveryDecision) -> Outcome:
        assert found.intent  # noqa: S101
        host, entry = session.host.name, found.intent.entry
        self.watcher.host(host, "finishing")
        # If other hosts are undone, a host that was done before keeps the proof that its record has.
        own = self.seen[host].record.serving
        proven = everywhere(entry, self.seen.values()) if recovery.finish else bool(own and own.proven)
        return _finish(session, self.asked, found.intent, self.seen[host], self.cancel, proven=proven)

    def _require_decision(self, begun: Mapping[str, Interruption], recovery: RecoveryDecision) -> None:
        """Raise Interrupted if only a person can decide to undo; hosts that serve nothing get their old container
        back."""
        ran = {h: [i.intent.entry] for h, i in begun.items() if i.intent and not i.intent.rollback}
        crossed = unsafe_tasks(ran)
        if not crossed or recovery.asked:
            return
        _start_old(self.fleet, {h: i for h, i in begun.items() if i.leftover is Leftover.GAP}, self.watcher)
        raise Interrupted(
            f"{', '.join(crossed)} ran before it was interrupted on {', '.join(ran)}, and is not marked rollback_safe",
            hint=f"decide yourself: relman recover {self.asked.place} --undo rolls back past it; "
            f"relman recover {self.asked.place} --finish finishes on the hosts that began",
        )


def _prove(session: Session, intent: Intent, asked: Asked, cancel: threading.Event) -> Change:
    """Start the new containers if necessary. Raises StepFailed unless they have the right image and are healthy."""
    units, others = [], []
    for unit in intent.news:
        new = find(session, unit.name)
        if new is None:
            back = f"relman recover {asked.place} --undo restores the old one"
            raise StepFailed(f"its new container {unit.name} is gone; {back}")
        units.append(replace(unit, container=new.id))
        settings = intent.entry.settings.run_of(unit.process)
        if not new.running:
            _make_room(session, intent, unit)
            others.append(stranger(session, settings))
            session.engine.start(new.id)
        if intent.rollback:
            others.append(why_mute(session, settings))
    other = next(filter(None, others), "")
    if other and not intent.rollback:
        raise StepFailed(f"its health cannot be checked: {other}", host=session.host.name)
    healthy = await_healthy(session, watched_of(intent.entry, units), cancel, unasked=bool(other))
    steps.read_back(session, intent.entry, healthy.containers)
    return Change(tuple(units), unasked=other)


def _make_room(session: Session, intent: Intent, unit: Unit) -> None:
    """Stop the old containers that must not run beside this new one. Which these are can no longer be told by their
    settings: if its process stops first, it is all that do."""
    if not intent.stops_first(unit.process):
        return
    for running in intent.olds:
        old = find(session, running.container) if intent.stops_first(running.process) else None
        if old and old.alive:
            session.engine.set_restart(old.id, "always")
            session.engine.stop(old.id, running.stop_timeout)


def _step(session: Session, intent: Intent, before: Deployed | None) -> Step:
    stop_first = tuple(dict.fromkeys(o.process for o in intent.olds if intent.stops_first(o.process)))
    return Step(
        host=session.host.name,
        action=Action.REPLACE,
        entry=intent.entry,
        old=intent.olds,
        turns=(Turn(stop_first, ""),) if stop_first else (),
        before=before,
    )


def _finish(
    session: Session, asked: Asked, intent: Intent, seen: Observed, cancel: threading.Event, *, proven: bool
) -> Outcome:
    entry = intent.entry
    kind = Kind.ROLLBACK if intent.rollback else Kind.DEPLOY
    plan = replace(bare_plan(asked, kind, entry.release, ()), keep=entry.settings.keep)
    standing = session.connection.standing
    change = _prove(session, intent, asked, cancel)
    step = _step(session, intent, seen.record.serving)
    there = tuple(o for o in step.old if find(session, o.container))  # others had come as far as pruning
    step = replace(step, old=there)
    serve(session, step, change.units, standing, cancel, unasked=bool(change.unasked))
    retire(session, step)
    record_and_prune(session, plan, step, change, seen, proven=proven)
    detail = f"{entry.release}: its health was not checked: {change.unasked}" if change.unasked else entry.release
    return Outcome(session.host.name, Result.CHANGED, detail, unasked=change.unasked)


def heal_gaps(fleet: Fleet, asked: Asked, watcher: Watcher) -> tuple[str, ...]:
    """Start the old container on every host that serves nothing because its deployment was interrupted; `recover` does
    the rest."""
    seen, machine = look(fleet, asked), this_machine()
    if any(o.lock and not is_dead(o.lock, machine) for o in seen):
        return ()
    gaps = {i.host: i for i in interruptions(seen) if i.leftover is Leftover.GAP}
    return _start_old(fleet, gaps, watcher)


def _start_old(fleet: Fleet, gaps: Mapping[str, Interruption], watcher: Watcher) -> tuple[str, ...]:
    """Start the old containers of the processes of which nothing runs."""
    intents = {h: i.intent for h, i in gaps.items() if i.intent and i.intent.olds}

    def one(session: Session) -> None:
        intent = intents[session.host.name]
        names = (*(o.container for o in intent.olds), *(u.name for u in intent.news))
        there = [c for name in names if (c := find(session, name))]
        gone = dark(intent, [c for c in there if c.running or c.paused])
        for old in (o for o in intent.olds if o.process in gone):
            try:
                session.engine.start(old.container)
            except EngineError as error:
                held = held_port(session, find(session, old.container))
                raise StepFailed(f"{error.what}; {held.why}; {held.way_out}" if held else error.what) from error

    healed = fleet.each(one, intents)
    for host in healed.answers:
        watcher.say(f"{host} served nothing after {_EARLIER}: the previous container was started")
    for host, error in healed.errors.items():
        watcher.say(f"{host} serves nothing after {_EARLIER}, and its previous container does not start: {error.what}")
    return tuple(healed.answers)
