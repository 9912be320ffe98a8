"""Hold the locks of a whole fleet: take all or none, renew them, release them."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from relman.hosts.state_dir import lock as lock_file
from relman.model.errors import Cancelled, Interrupted, Locked, RelmanError
from relman.model.state_dir.lock import FoundLock, Lock, Phase
from relman.rollout.file_sets import drop_unneeded
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.planning.planner import Asked
from relman.rollout.state.lease import LOOK_AFTER, TTL, Lease, is_dead, this_machine

_LOCK_PAUSE = 1.0
_SEEN_AFTER = LOOK_AFTER + 2.0  # with time for a write in transit


@dataclass(frozen=True)
class Patience:
    """How many seconds to wait for another's lock; `cancel` ends the wait."""

    seconds: float = 0.0
    cancel: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def locked(
    fleet: Fleet,
    asked: Asked,
    message: str,
    watcher: Watcher,
    *,
    adopt: bool = False,
    patience: Patience = Patience(),  # frozen; its event is never set
) -> Iterator[Mapping[str, RelmanError]]:
    """Hold every host's lock, taking the first host's first, so that of two competitors one gets them all.

    With `adopt`, the intents of dead holders are taken over. The yielded mapping contains, after the block, the errors
    of locks that could not be released, by host. Raises Locked or Interrupted, having released all locks it took, and
    Cancelled while waiting.
    """
    lock = new_lock(asked, message)

    def one(session: Session) -> None:
        session.lease = _acquire(session, asked, lock, adopt)

    unreleased: dict[str, RelmanError] = {}
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(fleet, stop), name="renewal", daemon=True)
    try:
        _take(fleet, one, watcher, patience)
        renewal.start()
        yield unreleased
    finally:
        stop.set()
        unreleased.update(fleet.each(partial(_leave, asked, watcher)).errors)
        for host in unreleased:
            watcher.say(f"{host}: its lock could not be released; it expires in {TTL:.0f} s")


def new_lock(asked: Asked, message: str) -> Lock:
    """A lock of this process."""
    return Lock(
        owner=asked.by,
        machine=this_machine(),
        pid=os.getpid(),
        token=secrets.token_hex(8),
        deployment=asked.id,
        message=message,
        ttl=TTL,
        since=asked.at,
    )


def _take(fleet: Fleet, one: Callable[[Session], None], watcher: Watcher, patience: Patience) -> None:
    """Take all locks or none, retrying for as long as `patience` allows."""
    names, deadline, told = list(fleet.sessions), time.monotonic() + patience.seconds, False
    while True:
        try:
            fleet.each(one, names[:1]).all("locking")
            fleet.each(one, names[1:]).all("locking")
        except Locked as error:
            if time.monotonic() >= deadline:
                raise
            fleet.each(release_lock)
            if not told:
                watcher.say(f"waiting up to {patience.seconds:g} s: {error}")
            told = True
            if patience.cancel.wait(min(_LOCK_PAUSE, max(0.0, deadline - time.monotonic()))):
                raise Cancelled("cancelled while waiting for the lock; nothing was changed") from None
        else:
            return


def _leave(asked: Asked, watcher: Watcher, session: Session) -> None:
    """Let go of the host, of which nothing is left that it does not need."""
    held = session.lease is not None and session.lease.lock.phase is Phase.HELD
    if held and (note := drop_unneeded(session, asked.environment, asked.service)):
        watcher.say(f"{session.host.name}: {note}")
    release_lock(session)


def release_lock(session: Session) -> None:
    """Release the host's lock if the host is consistent; else leave it as an interrupted deployment."""
    lease, session.lease = session.lease, None
    if lease is None:
        return
    draft, session.draft = session.draft, None
    if draft:
        with contextlib.suppress(RelmanError):  # a leftover draft is harmless; the lock must be released
            draft.drop()
    if lease.lock.phase is Phase.HELD:
        lease.release()
    else:
        lease.abandon()


def _renew(fleet: Fleet, stop: threading.Event) -> None:
    """Renew all locks until stopped, in threads, so that a host that does not answer delays no other."""
    under_way: dict[str, threading.Thread] = {}
    while not stop.wait(TTL / 3):
        for name, session in fleet.sessions.items():
            if name not in under_way or not under_way[name].is_alive():
                under_way[name] = threading.Thread(target=_renew_one, args=(session,), name="renewal", daemon=True)
                under_way[name].start()


def _renew_one(session: Session) -> None:
    lease = session.lease
    if lease:
        with contextlib.suppress(RelmanError):
            lease.renew()


def _acquire(session: Session, asked: Asked, lock: Lock, adopt: bool) -> Lease:
    adopted = None
    try:
        lock_file.acquire(session.connection, asked.environment, asked.service, lock)
    except Locked:
        now = session.now()
        found = lock_file.read(session.connection, asked.environment, asked.service, now=now)
        if found and not is_dead(found, this_machine()):
            raise held(session.host.name, found) from None
        if found and found.lock and found.lock.phase is not Phase.HELD:
            if not adopt:
                raise interrupted(session.host.name, found.lock, asked) from None
            adopted = found.lock
            lock = replace(lock, phase=adopted.phase, intent=adopted.intent)
        if found is None:
            lock_file.acquire(session.connection, asked.environment, asked.service, lock)
        else:
            where = (session.connection, asked.environment, asked.service)
            lock_file.take_over(*where, found, lock, now=now, dead=partial(is_dead, machine=lock.machine))
    return Lease(session.connection, asked.environment, asked.service, lock, adopted)


def held(host: str, found: FoundLock) -> Locked:
    """The error for a lock that is held."""
    if found.lock is None:
        return Locked("another command is taking the lock", host=host, hint="try again in a minute")
    lock = found.lock
    return Locked(
        f"is locked by {lock.owner}: {lock.message} (last seen {found.age:.0f} s ago)",
        host=host,
        hint=f"wait for it to end; if its process died, the lock expires {lock.ttl:.0f} s after it was last seen",
    )


def interrupted(host: str, lock: Lock, asked: Asked) -> Interrupted:
    """The error for a lock whose holder died during a change."""
    return Interrupted(
        f"interrupted: {lock.owner} was {lock.message}",
        host=host,
        hint=f"relman recover {asked.place} finishes or undoes it",
    )


def sweep(session: Session, asked: Asked) -> None:
    """Remove files that dead commands left half written. The lock must be held."""
    where, dead = (session.connection, asked.environment, asked.service), partial(is_dead, machine=this_machine())
    lock_file.sweep(*where, now=session.now(), dead=dead)


def break_locks(fleet: Fleet, asked: Asked, reason: str, watcher: Watcher) -> Mapping[str, FoundLock]:
    """Take every lock away from its holder, and return the broken ones. A change in progress becomes an interrupted
    deployment.

    A live holder notices before its next write, because it reads the lock if its last write is older than LOOK_AFTER;
    so no lock is broken before that time. Raises Locked if a lock changes hands meanwhile.
    """

    def one(session: Session) -> FoundLock | None:
        return _break(session, asked, reason, watcher)

    found = fleet.each(one).all("breaking the lock")
    return {host: lock for host, lock in found.items() if lock}


def _break(session: Session, asked: Asked, reason: str, watcher: Watcher) -> FoundLock | None:
    where, dead = (session.connection, asked.environment, asked.service), partial(is_dead, machine=this_machine())
    while found := lock_file.read(*where, now=(now := session.now())):
        left = _SEEN_AFTER - found.age
        if left <= 0 or dead(found):
            lock_file.break_lock(*where, found, _mark(asked, found, reason), now=now, dead=dead)
            return found
        watcher.host(session.host.name, "waiting until its holder has to check the lock")
        time.sleep(min(left, _SEEN_AFTER))
    return None


def _mark(asked: Asked, found: FoundLock, reason: str) -> Lock:
    before = found.lock
    text = f"{before.message if before else 'a lock that could not be read'} (lock broken by {asked.by}: {reason})"
    return replace(
        before or new_lock(asked, text),
        token=secrets.token_hex(8),
        message=text,
        ttl=0.0,
    )
