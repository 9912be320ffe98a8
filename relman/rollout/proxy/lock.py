"""Hold the lock of a host's proxy, which several services share. It is held for seconds, and so waited for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import lock as lock_file
from relman.hosts.state_dir.proxy import STATE, TOP
from relman.model.errors import Locked
from relman.model.state_dir.lock import Lock, Phase
from relman.rollout.fleet import Session
from relman.rollout.state.lease import TTL, is_dead
from relman.rollout.state.locks import held

_WAIT = 60.0
_PAUSE = 0.5


@contextlib.contextmanager
def proxy_locked(session: Session, holder: Lock) -> Iterator[None]:
    """Hold it, as the `holder` of another lock, which may have left it behind in a failure. Raises Locked if somebody
    else has it for too long, and what the connection raises."""
    mine = replace(holder, phase=Phase.HELD, intent=None, ttl=TTL)
    _take(session, mine, time.monotonic() + _WAIT)
    try:
        lock_file.sweep(session.connection, TOP, STATE, now=session.now(), dead=partial(is_dead, machine=mine.machine))
        yield
    finally:
        lock_file.release(session.connection, TOP, STATE, mine, look=False)


def _take(session: Session, lock: Lock, end: float) -> None:
    where = (session.connection, TOP, STATE)
    while True:
        try:
            lock_file.acquire(*where, lock)
        except Locked:
            now = session.now()
            found = lock_file.read(*where, now=now)
            if found and found.lock and found.lock.token == lock.token:
                return
            if found and is_dead(found, lock.machine):
                lock_file.take_over(*where, found, lock, now=now, dead=partial(is_dead, machine=lock.machine))
                return
            if found and time.monotonic() >= end:
                raise held(session.host.name, found) from None
            time.sleep(_PAUSE if found else 0)
        else:
            return
