"""Count what users see of a service on all hosts of a change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from relman.model.plan import Action, Step
from relman.model.traffic import Traffic, Users
from relman.rollout.fleet import Fleet, Session
from relman.rollout.proxy.users import UserCount


def proxied(steps: Iterable[Step]) -> list[str]:
    """The hosts of steps that replace what is reached through their proxies."""
    return [s.host for s in steps if s.before and s.before.settings.proxied and s.action is not Action.VERIFY]


@contextmanager
def counting(fleet: Fleet, hosts: Collection[str]) -> Iterator[Counting]:
    """Count from now on, on these hosts, until the end of the block."""
    count = Counting(fleet, hosts)
    count.begin()
    try:
        yield count
    finally:
        count.close()


class Counting:
    """The counts of hosts, each followed while its proxy changes (relman/rollout/proxy/switch.py)."""

    def __init__(self, fleet: Fleet, hosts: Collection[str]) -> None:
        self._fleet = fleet
        self._hosts = [host for host in hosts if host in fleet.sessions]
        self._backend = f"{fleet.environment.name}:{fleet.service}"

    def begin(self) -> None:
        """Begin on every host."""

        def one(session: Session) -> None:
            session.users = UserCount.begun(session.connection, self._backend)

        self._each(one)

    def follow(self) -> None:
        """Look at every host, as often as others may change its proxy."""

        def one(session: Session) -> None:
            if session.users:
                session.users.follow()

        self._each(one)

    def read(self) -> Users | None:
        """What was counted until now; None where no host has a proxy."""
        found = self._fleet.each(lambda session: session.users.read() if session.users else None, self._hosts).answers
        if not any(self._fleet.sessions[host].users for host in self._hosts):
            return None
        known = [each for host in self._hosts if (each := found.get(host))]
        return Users(sum(known, Traffic()), tuple(host for host in self._hosts if not found.get(host)))

    def close(self) -> None:
        """Let the proxies' old workers end."""

        def one(session: Session) -> None:
            if session.users:
                session.users.close()
            session.users = None

        self._each(one)

    def _each(self, work: Callable[[Session], None]) -> None:
        self._fleet.each(work, self._hosts)
