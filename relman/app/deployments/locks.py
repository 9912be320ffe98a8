"""Show who is working on the hosts, and break locks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.deployments.rollouts import chosen_of, require_known
from relman.app.environments import Request
from relman.app.factories import record_deployment
from relman.app.identity import who
from relman.hosts.state_dir import lock as lock_file
from relman.ledger.entries import HostOutcome
from relman.model.formats.clock import timestamp
from relman.model.state_dir.lock import FoundLock
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.planning.planner import Asked
from relman.rollout.state.locks import break_locks


@dataclass(frozen=True)
class Locks:
    """The locks of a service, on connected hosts."""

    context: Context
    fleet: Fleet
    asked: Asked

    def read(self) -> Mapping[str, FoundLock]:
        """The existing locks, by host."""
        asked = self.asked

        def one(session: Session) -> FoundLock | None:
            now = session.now()
            return lock_file.read(session.connection, asked.environment, asked.service, now=now)

        found = self.fleet.each(one).all("looking at the locks")
        return {host: lock for host, lock in found.items() if lock}

    def break_all(self, watcher: Watcher) -> Mapping[str, FoundLock]:
        """Break all locks, record it in the history, and return the broken ones."""
        asked, started = self.asked, timestamp()
        broken = break_locks(self.fleet, asked, asked.reason, watcher)
        record_deployment(
            self.context,
            id=asked.id,
            kind="lock broken",
            service=asked.service,
            environment=asked.environment,
            release="",
            digest="",
            by=who(self.context.environ),
            started=started,
            finished=timestamp(),
            outcome="done",
            hosts=[HostOutcome(h, "lock broken", lock.lock.message if lock.lock else "") for h, lock in broken.items()],
            reason=asked.reason,
        )
        return broken


@contextmanager
def open_locks(context: Context, request: Request) -> Iterator[Locks]:
    """The locks of a service, with the hosts connected."""
    selected, asked = chosen_of(context, request)
    with Fleet(selected.environment, asked.service) as fleet:
        fleet.require_all()
        require_known(fleet, asked)
        yield Locks(context, fleet, asked)
