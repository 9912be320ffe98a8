"""Hold one host's lock: say what comes next, renew, let go."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import lock as lock_file
from relman.model.errors import RelmanError
from relman.model.record import FoundLock, Intent, Lock, Phase

TTL = 60.0
LOOK_AFTER = 5.0  # seconds; who breaks a lock waits until its holder has written nothing for longer


def this_machine() -> str:
    """A name for this boot of this machine and its process numbers: a dead holder can be told from a live one."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}:{boot}:{Path('/proc/self/ns/pid').readlink()}"


def is_dead(found: FoundLock, machine: str) -> bool:
    """Whether the holder is gone: it let the lock run out, or it was a process of this machine that has ended."""
    if found.expired:
        return True
    lock = found.lock
    return lock is not None and lock.machine == machine and not Path(f"/proc/{lock.pid}").exists()


def uptime() -> float:
    """Seconds since this machine's start, those asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class _Draft:
    lock: Lock
    path: str
    since: float


class Lease:
    """A held lock. Its writes are serialised, so that renewal never overwrites an intent; where so much time has passed
    (asleep included) that somebody may have broken or taken the lock, it looks before it writes, and raises Locked."""

    def __init__(
        self, connection: Connection, environment: str, service: str, lock: Lock, found: Lock | None = None
    ) -> None:
        """`found` is the lock of a dead holder whose intent this one took over."""
        self._where = (connection, environment, service)
        self._mutex = threading.Lock()
        self._written = uptime()
        self._draft: _Draft | None = None
        self._over = False
        self.lock, self.found = lock, found

    def prepare(self, phase: Phase, intent: Intent | None) -> None:
        """Write what will come next where it does not count yet: `advance` is quick then, if it follows soon. What
        cannot be written is left to `advance`."""
        with self._mutex, contextlib.suppress(RelmanError):
            if not self._over:
                lock, since = replace(self.lock, phase=phase, intent=intent), uptime()
                self._draft = _Draft(lock, lock_file.draft(*self._where, lock), since)

    def advance(self, phase: Phase, intent: Intent | None) -> None:
        """Write the intent of what comes next."""
        with self._mutex:
            self._write(replace(self.lock, phase=phase, intent=intent))

    def renew(self) -> None:
        """Start the time to live anew."""
        with self._mutex:
            self._write(self.lock)

    def release(self) -> None:
        """Let go."""
        with self._mutex:
            self._over = True
            self._drop_draft()
            lock_file.release(*self._where, self.lock, look=self._old)

    def check(self, connection: Connection) -> None:
        """Raise Locked unless the lock still is ours, seen through another connection to the host."""
        if not self._over:
            lock_file.require_ours(connection, *self._where[1:], self.lock)

    def settled(self) -> None:
        """The record says how it is: nothing is intended any more (not written: the lock is let go next)."""
        with self._mutex:
            self.lock = replace(self.lock, phase=Phase.HELD, intent=None)

    def abandon(self) -> None:
        """Keep the intent, but let the next command take the lock at once: an interrupted deployment."""
        with self._mutex:
            self._drop_draft()
            self._write(replace(self.lock, ttl=0.0))
            self._over = True

    @property
    def _old(self) -> bool:
        return uptime() - self._written > LOOK_AFTER

    def _write(self, lock: Lock) -> None:
        if self._over:
            return  # a renewal that came too late must not bring the lock back
        draft = self._draft
        # The lock's age is its file's: an old draft would look like a holder that has not written for as long.
        if draft and draft.lock == lock and uptime() - draft.since < LOOK_AFTER:
            lock_file.advance(*self._where, lock, look=self._old, drafted=draft.path)
            self._draft, self._written = None, draft.since
        else:
            lock_file.advance(*self._where, lock, look=self._old)
            self._written = uptime()
        self.lock = lock

    def _drop_draft(self) -> None:
        draft, self._draft = self._draft, None
        if draft:
            with contextlib.suppress(RelmanError):  # it counts for nothing; the lock itself matters
                lock_file.drop(self._where[0], draft.path)
