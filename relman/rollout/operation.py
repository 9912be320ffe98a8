"""One deployment or rollback, from taking the locks to letting them go."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from relman.hosts import lock as lock_file
from relman.model.errors import Interrupted, Locked, PreflightFailed
from relman.model.plan import Observed, Outcome, Plan, Result
from relman.model.record import FoundLock, Lock, Phase
from relman.rollout.executor import Credentials, Report, Work, carry_out, fetch_images
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.lease import TTL, Lease, is_dead, this_machine
from relman.rollout.observe import observe
from relman.rollout.planner import Asked

Planner = Callable[[Sequence[Observed]], Plan]


@dataclass(frozen=True)
class Operation:
    """What a deployment or a rollback needs besides the fleet: who asked for what, and how to plan it.

    `message` is what others read who find the lock. `planned` is told the plan before anything changes. `before_change`
    raises when the release is no longer what was resolved (a moved tag).
    """

    asked: Asked
    plan: Planner
    message: str
    watcher: Watcher
    cancel: threading.Event
    planned: Callable[[Plan], None] = lambda _: None
    before_change: Callable[[], None] | None = None
    auth_config: Credentials | None = None


def preview(fleet: Fleet, operation: Operation) -> Plan:
    """The plan as it would be carried out now; nothing is locked and nothing changes."""
    return operation.plan(look(fleet, operation.asked))


def run(fleet: Fleet, operation: Operation, agreed: Plan | None = None) -> Report:
    """Lock, look, plan, and carry it out; with `agreed`, only if the plan still is the one that a person agreed to.

    Raises RelmanError where nothing was changed; else the report says all.
    """
    with locked(fleet, operation.asked, operation.message, operation.watcher):
        seen = look(fleet, operation.asked)
        plan = operation.plan(seen)
        if agreed and plan.waves != agreed.waves:
            raise PreflightFailed("a host has changed since the plan was shown", hint="run it again for the new plan")
        operation.planned(plan)
        if not plan.steps:
            return Report(plan, tuple(Outcome(h, Result.UNCHANGED, plan.release) for h in plan.unchanged))
        if operation.before_change:
            operation.before_change()
        by_host = {o.host: o for o in seen}
        work = Work(plan, fleet, by_host, operation.watcher, operation.cancel, operation.auth_config)
        fetch_images(work)
        return carry_out(work)


def look(fleet: Fleet, asked: Asked, *, rollback: bool = False) -> tuple[Observed, ...]:
    """Look at every host, in the inventory's order; raises when one cannot be looked at."""

    def one(session: Session) -> Observed:
        return observe(session, asked.environment, asked.service, rollback=rollback)

    answers = fleet.each(one).all("looking at the hosts")
    return tuple(answers[h.name] for h in fleet.environment.hosts if h.name in answers)


@contextlib.contextmanager
def locked(fleet: Fleet, asked: Asked, message: str, watcher: Watcher, *, adopt: bool = False) -> Iterator[None]:
    """Hold every host's lock, the first host's first so that of two comers one gets them all. With `adopt`, what a dead
    holder had begun is taken over with its intent.

    Raises Locked or Interrupted, with every lock that was got let go again.
    """
    lock = Lock(
        owner=asked.by,
        machine=this_machine(),
        pid=os.getpid(),
        token=secrets.token_hex(8),
        deployment=asked.id,
        message=message,
        ttl=TTL,
    )
    names = list(fleet.sessions)

    def one(session: Session) -> None:
        session.lease = _acquire(session, asked, lock, adopt)

    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(fleet, stop), name="renewal", daemon=True)
    try:
        fleet.each(one, names[:1]).all("locking")
        fleet.each(one, names[1:]).all("locking")
        renewal.start()
        yield
    finally:
        stop.set()
        for host in fleet.each(release_lock).errors:
            watcher.say(f"{host}: its lock could not be let go; it runs out by itself in {TTL:.0f} s")


def release_lock(session: Session) -> None:
    """Let go of the host's lock when the host is consistent; else leave it as an interrupted deployment."""
    lease, session.lease = session.lease, None
    if lease is None:
        return
    if lease.lock.phase is Phase.HELD:
        lease.release()
    else:
        lease.abandon()


def _renew(fleet: Fleet, stop: threading.Event) -> None:
    """Renew until told to stop. A host that cannot be reached is left alone: its own step finds out."""

    def one(session: Session) -> None:
        if session.lease:
            session.lease.renew()

    while not stop.wait(TTL / 3):
        fleet.each(one)


def _acquire(session: Session, asked: Asked, lock: Lock, adopt: bool) -> Lease:
    try:
        lock_file.acquire(session.connection, asked.environment, asked.service, lock)
    except Locked:
        now = session.engine.facts().clock
        found = lock_file.read(session.connection, asked.environment, asked.service, now=now)
        if found and not is_dead(found, this_machine()):
            raise held(session.host.name, found) from None
        if found and found.lock and found.lock.phase is not Phase.HELD:
            if not adopt:
                raise interrupted(session.host.name, found.lock, asked) from None
            lock = replace(lock, phase=found.lock.phase, intent=found.lock.intent)
        if found is None:
            lock_file.acquire(session.connection, asked.environment, asked.service, lock)
        else:
            lock_file.take_over(session.connection, asked.environment, asked.service, found, lock, now=now)
    return Lease(session.connection, asked.environment, asked.service, lock)


def held(host: str, found: FoundLock) -> Locked:
    """The error for a lock that somebody holds."""
    if found.lock is None:
        return Locked("is being locked right now by somebody else", host=host, hint="try again in a minute")
    lock = found.lock
    return Locked(
        f"is locked by {lock.owner}: {lock.message} (last sign of life {found.age:.0f} s ago)",
        host=host,
        hint=f"wait for it to end; if its process died, the lock runs out {lock.ttl:.0f} s after that sign",
    )


def interrupted(host: str, lock: Lock, asked: Asked) -> Interrupted:
    """The error for a lock whose holder died in the middle."""
    return Interrupted(
        f"was left in the middle by {lock.owner}: {lock.message}",
        host=host,
        hint=f"relman recover -e {asked.environment} --service {asked.service} finishes or undoes it",
    )
