"""Reopen a connection that was lost while its host is alive: sshd was restarted, or a router forgot the connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from relman.hosts.ssh.links import Link
from relman.model.errors import RelmanError, Unreachable
from relman.model.host import Host

T = TypeVar("T")
_PAUSE = 0.3


class Renewable:
    """What a connection needs to be reopened.

    `reach` opens another one to the same host, and is retried for `seconds`; None if it must not be reopened. `check`
    is called with the new one before it is used, and raises if it must not be: its lock has another holder now.
    """

    def __init__(self, host: Host, link: Link) -> None:
        self.host = host
        self.reach: Callable[[], Renewable] | None = None
        self.seconds = 0.0
        self.check: Callable[[Any], None] = lambda _: None
        self._link = link
        self._over = False
        self._renewing = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the SSH connection is open, as far as this end knows."""
        return self._link.alive

    @property
    def gone(self) -> str:
        """The error text for a lost connection."""
        return self._link.broken

    def lasting(self, work: Callable[[], T]) -> T:
        """Run `work`, which must be idempotent, and run it again if the connection was lost and could be reopened.

        Raises what it raises, and what `check` raises.
        """
        link = self._link
        try:
            return work()
        except Unreachable:
            if not self._renewed(link):
                raise
        return work()

    @property
    def standing(self) -> object:
        """An identity of the current connection, which changes when it is reopened."""
        return self._link

    def require(self, standing: object = None) -> None:
        """Raise Unreachable unless it is alive and, if given, still the connection `standing`."""
        if not self.alive or self._link is not (standing or self._link):
            raise Unreachable(self.gone, host=self.host.name)

    def _renewed(self, lost: Link) -> bool:
        """Whether another connection has replaced the lost one."""
        with self._renewing:
            if self._link is not lost:
                return self.alive
            fresh = None if lost.alive else self._reached()
            if fresh is None:
                return False
            try:
                self.check(fresh)
            except BaseException:
                self._over = True
                fresh.close()
                raise
            self._adopt(fresh)
            lost.close()
            if self._over:
                self._link.close()
            return not self._over

    def _reached(self) -> Renewable | None:
        """Another connection, or None if there is none in time; after a failure it is not tried again."""
        until = time.monotonic() + self.seconds
        while self.reach and not self._over:
            try:
                return self.reach()
            except Unreachable:
                if time.monotonic() > until:
                    break
                time.sleep(_PAUSE)
            except RelmanError:
                break
        self._over = True
        return None

    def _adopt(self, fresh: Any) -> None:
        self._link = fresh._link

    def close(self) -> None:
        """Close it permanently."""
        self._over = True
        self._link.close()
