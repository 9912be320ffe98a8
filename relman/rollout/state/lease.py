"""Hold one host's lock: announce changes, renew it, release it."""

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
from relman.model.state_dir.lock import FoundLock, Intent, Lock, Phase

TTL = 60.0
LOOK_AFTER = 5.0  # seconds without a write, after which the holder looks first, and others may break the lock


def this_machine() -> str:
    """An id of this boot and process namespace of this machine, with which a dead holder can be recognised."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}:{boot}:{Path('/proc/self/ns/pid').readlink()}"


def is_dead(found: FoundLock, machine: str) -> bool:
    """Whether the holder is gone: the lock expired, or its process on this machine has ended."""
    if found.expired:
        return True
    lock = found.lock
    return lock is not None and lock.machine == machine and not Path(f"/proc/{lock.pid}").exists()


def uptime() -> float:
    """Seconds since this machine's start, including suspension."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class _Draft:
    lock: Lock
    path: str
    since: float


class Lease:
    """A held lock.

    Its writes are serialised, so that a renewal never overwrites an intent. After LOOK_AFTER seconds without a write
    (suspension included) someone may have broken or taken the lock: then it is read before it is written, and Locked
    raised.
    """

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
        """Draft the next intent, which makes a following `advance` faster. Errors are left to `advance`."""
        with self._mutex, contextlib.suppress(RelmanError):
            if not self._over:
                lock, since = replace(self.lock, phase=phase, intent=intent), uptime()
                self._draft = _Draft(lock, lock_file.draft(*self._where, lock), since)

    def advance(self, phase: Phase, intent: Intent | None) -> None:
        """Write the intent of the next change. Raises Locked, and what the connection raises."""
        with self._mutex:
            self._write(replace(self.lock, phase=phase, intent=intent))

    def tell(self, message: str) -> None:
        """Let others read how far it is. Raises as `renew`."""
        with self._mutex:
            self._write(replace(self.lock, message=message))

    def renew(self) -> None:
        """Extend the lock by its time to live. Raises Locked, and what the connection raises."""
        with self._mutex:
            self._write(self.lock)

    def release(self) -> None:
        """Release the lock."""
        with self._mutex:
            self._over = True
            self._drop_draft()
            lock_file.release(*self._where, self.lock, look=self._old)

    def check(self, connection: Connection) -> None:
        """Raise Locked unless the lock is still ours, read through another connection to the host."""
        if not self._over:
            lock_file.require_ours(connection, *self._where[1:], self.lock)

    def settled(self) -> None:
        """Note that the record is true again and nothing is intended; not written, because the lock is released
        next."""
        with self._mutex:
            self.lock = replace(self.lock, phase=Phase.HELD, intent=None)

    def abandon(self) -> None:
        """Keep the intent, and let the next command take the lock immediately: an interrupted deployment."""
        with self._mutex:
            self._drop_draft()
            self._write(replace(self.lock, ttl=0.0))
            self._over = True

    @property
    def environment(self) -> str:
        """The environment of the service that is locked."""
        return self._where[1]

    @property
    def service(self) -> str:
        """The service that is locked."""
        return self._where[2]

    @property
    def _old(self) -> bool:
        return uptime() - self._written > LOOK_AFTER

    def _write(self, lock: Lock) -> None:
        if self._over:
            return  # a late renewal must not restore a released lock
        draft = self._draft
        # The lock's age is its file's: an old draft would make its holder look inactive.
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
            with contextlib.suppress(RelmanError):  # a leftover draft is harmless
                lock_file.drop(self._where[0], draft.path)
