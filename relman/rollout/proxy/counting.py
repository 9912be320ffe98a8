"""Count what users see of a service on all hosts of a change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from relman.model.plan import Action, Step
from relman.model.proxy import Traffic, Users
from relman.rollout.fleet import Fleet, Session
from relman.rollout.proxy.users import UserCount

T = TypeVar("T")


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
    """The counts of hosts. While relman itself changes a host's proxy they are followed there, too
    (relman/rollout/proxy/switch.py)."""

    def __init__(self, fleet: Fleet, hosts: Collection[str]) -> None:
        self._fleet = fleet
        self._hosts = [host for host in hosts if host in fleet.sessions]
        self._backend = f"{fleet.environment.name}:{fleet.service}"
        self._counts: dict[str, UserCount] = {}

    def begin(self) -> None:
        """Begin on every host."""

        def one(session: Session) -> UserCount | None:
            count = UserCount.begun(session.connection, self._backend)
            if count:
                session.users.append(count)
            return count

        found = self._fleet.each(one, self._hosts).answers
        self._counts = {host: count for host in self._hosts if (count := found.get(host))}

    def follow(self) -> None:
        """Look at every host, as often as others may change its proxy."""
        self._each(UserCount.follow)

    def read(self) -> Users | None:
        """What was counted until now; None where no host has a proxy."""
        if not self._counts:
            return None
        found = self._each(UserCount.read)
        return Users(sum(filter(None, found.values()), Traffic()), tuple(h for h in self._hosts if not found.get(h)))

    def close(self) -> None:
        """Let the proxies' old workers end."""
        self._each(UserCount.close)
        for host, count in self._counts.items():
            self._fleet.sessions[host].users.remove(count)

    def _each(self, work: Callable[[UserCount], T]) -> Mapping[str, T]:
        return self._fleet.each(lambda session: work(self._counts[session.host.name]), self._counts).answers
