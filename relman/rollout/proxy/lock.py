"""Hold the lock of a host's proxy, which several services share. It is mostly held for seconds, and so waited for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import lock as lock_file
from relman.hosts.state_dir.proxy import STATE, TOP
from relman.model.errors import Locked, RelmanError
from relman.model.state_dir.lock import Lock, Phase
from relman.rollout.fleet import Session
from relman.rollout.state.lease import TTL, Lease, is_dead
from relman.rollout.state.locks import held

_WAIT = 60.0
_PAUSE = 0.5
_RENEW = TTL / 3


@contextlib.contextmanager
def proxy_locked(session: Session, holder: Lock) -> Iterator[None]:
    """Hold it, as the `holder` of another lock, which may have left it behind in a failure; it is renewed meanwhile.
    Raises Locked if somebody else has it for too long, or took it away, and what the connection raises."""
    mine = replace(holder, phase=Phase.HELD, intent=None, ttl=TTL)
    _take(session, mine)
    lease, over = Lease(session.connection, TOP, STATE, mine), threading.Event()
    threading.Thread(target=_renew, args=(lease, over), name="proxy renewal", daemon=True).start()
    try:
        lock_file.sweep(session.connection, TOP, STATE, now=session.now(), dead=partial(is_dead, machine=mine.machine))
        yield
    finally:
        over.set()
        lease.release()


def _renew(lease: Lease, over: threading.Event) -> None:
    while not over.wait(_RENEW):
        with contextlib.suppress(RelmanError):
            lease.renew()


def _take(session: Session, lock: Lock) -> None:
    """Take it, or wait: also whoever finds that another one was faster with the lock of a dead holder."""
    where, end = (session.connection, TOP, STATE), time.monotonic() + _WAIT
    while True:
        try:
            return lock_file.acquire(*where, lock)
        except Locked as taken:
            now, late = session.now(), taken
        found = lock_file.read(*where, now=now)
        if found and found.lock and found.lock.token == lock.token:
            return None
        if found and is_dead(found, lock.machine):
            try:
                dead = partial(is_dead, machine=lock.machine)
                return lock_file.take_over(*where, found, lock, now=now, dead=dead)
            except Locked as taken:
                late = taken
        if time.monotonic() >= end:
            raise held(session.host.name, found) if found else late
        time.sleep(_PAUSE if found else 0)
