"""Count what users see of a service while it changes, on each host behind its proxy.

HAProxy's counters begin anew in each worker, so every worker that accepts connections meanwhile is held until it has
been read (relman/hosts/haproxy_worker.py). Counting stops no change: where it fails, nothing is said of that host.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from relman.hosts.haproxy import MasterCli
from relman.hosts.haproxy_worker import HeldWorker
from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import proxy as kept
from relman.model.errors import RelmanError
from relman.model.proxy import Traffic
from relman.rollout.proxy.observed_cfg import TIMES

T = TypeVar("T")
_PAUSE = 0.05
_TRIES = 40  # of so long: a new worker is there sooner
_RELOAD = 5.0
"""How long a master that begins anew does not answer, at most; one that is frozen never does."""


@dataclass
class UserCount:
    """The requests to a backend on one host since `begin`."""

    connection: Connection
    backend: str
    _master: MasterCli
    _path: str
    _held: dict[int, tuple[HeldWorker, Traffic]] = field(default_factory=dict)  # with what each had counted before
    _ended: Traffic = field(default_factory=Traffic)
    _met: int = 0
    _since: int = 0
    _lost: bool = False

    @classmethod
    def begun(cls, connection: Connection, backend: str) -> UserCount | None:
        """Begin; None where the host has no proxy, or what it has is not known."""
        try:
            state = kept.read(connection)
            if state is None:
                return None
            master = kept.master(connection, state.number)
            count = cls(connection, backend, master, kept.count_socket(connection, state.number))
        except RelmanError:
            return None
        count._safely(count._begin)
        return count

    def follow(self) -> None:
        """Meet the worker that accepts connections now, and let those end that have none any more. To be called while
        workers change: of one that came and went in between nothing is known."""
        self._safely(self._follow)

    def read(self) -> Traffic | None:
        """What was counted until now; None if that is not known."""
        return self._safely(self._total)

    def close(self) -> None:
        """Let all workers end as they will."""
        self._lost = True
        for worker, _ in self._held.values():
            worker.close()
        self._held.clear()

    def _safely(self, work: Callable[[], T]) -> T | None:
        if self._lost:
            return None
        try:
            return work()
        except (ConnectionError, RelmanError):
            self.close()
            return None

    def _begin(self) -> None:
        self._since = self._reloads()
        worker = HeldWorker(self.connection, self._path)
        self._held[worker.pid] = (worker, worker.traffic(self.backend, TIMES))
        self._met = 1
        if self._reloads() != self._since:
            raise ConnectionError("it was just reloaded")

    def _follow(self) -> None:
        self._meet()
        for pid in list(self._held)[:-1]:
            worker, before = self._held[pid]
            if worker.is_idle():
                self._ended += worker.traffic(self.backend, TIMES) - before
                worker.close()
                del self._held[pid]

    def _total(self) -> Traffic:
        self._meet()
        return sum((w.traffic(self.backend, TIMES) - before for w, before in self._held.values()), self._ended)

    def _meet(self) -> None:
        """Hold the worker that accepts connections now. Raises ConnectionError unless with it as many were met as there
        were reloads."""
        for _ in range(_TRIES):
            if self._reloads() - self._since < self._met:
                return
            worker = HeldWorker(self.connection, self._path)
            if worker.pid in self._held:
                worker.close()
                time.sleep(_PAUSE)
            else:
                self._held[worker.pid] = (worker, Traffic())
                self._met += 1
        raise ConnectionError("a worker came and went")

    def _reloads(self) -> int:
        end = time.monotonic() + _RELOAD
        while (left := end - time.monotonic()) > 0:
            if found := self._master.processes(left):
                return found.reloads
            time.sleep(_PAUSE)
        raise ConnectionError("its master does not answer")
