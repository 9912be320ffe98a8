"""A connection that is opened again where it was lost and its host lives: sshd was restarted, a router forgot it."""

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
    """What a connection needs to be opened again. `reach` opens another one to the same host, and is asked for
    `seconds`; None where it is not to be. `check` is asked about the new one before anything uses it, and raises where
    it must not go on: a lock that it held has become somebody else's."""

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
        """Whether the SSH connection stands, as far as this end knows."""
        return self._link.alive

    @property
    def gone(self) -> str:
        """What to say of it once it is no longer alive."""
        return self._link.broken

    def lasting(self, work: Callable[[], T]) -> T:
        """What `work` gives, which may be done twice and come to the same: once more where the connection was lost
        meanwhile and could be opened again. Raises what it raises, and what `check` does."""
        link = self._link
        try:
            return work()
        except Unreachable:
            if not self._renewed(link):
                raise
        return work()

    @property
    def standing(self) -> object:
        """What tells this connection from one that is opened in its place."""
        return self._link

    def require(self, standing: object = None) -> None:
        """Raise Unreachable unless it is alive, and still the one that was `standing`, where that is given."""
        if not self.alive or self._link is not (standing or self._link):
            raise Unreachable(self.gone, host=self.host.name)

    def _renewed(self, lost: Link) -> bool:
        """Whether another connection is in the place of the one that was lost."""
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
        """Another connection, if there is one in time; who fails is not asked again."""
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
        """Close it for good."""
        self._over = True
        self._link.close()
