"""Observe one host: its engine, record and lock, and the service's containers and images."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from relman.hosts.state_dir import lock, record
from relman.model.container import ENVIRONMENT, REHEARSAL, SERVICE, TASK, Container, Listed
from relman.model.errors import NotFound
from relman.model.plan import Observed
from relman.model.state_dir.lock import FoundLock
from relman.model.state_dir.record import kept_name
from relman.rollout.fleet import Session


def observe(session: Session, environment: str, service: str, adopt: Collection[str] = ()) -> Observed:
    """Observe the host, and the containers of others with the names in `adopt`. Raises what the connection, the engine
    and the record raise."""
    names = [kept_name(environment, service), *map(str, filter(None, [session.repositories.get(service)]))]
    remembered, found, images, (containers, listed) = session.connection.together(
        partial(record.read, session.connection, environment, service),
        partial(_lock, session, environment, service),
        partial(session.engine.images, *names),
        partial(session.engine.survey, {SERVICE: service, ENVIRONMENT: environment}),
    )
    if elsewhere := {str(e.repository) for e in remembered.entries} - set(names):
        images = session.engine.images(*names, *elsewhere)
    return Observed(
        host=session.host.name,
        facts=session.facts,
        record=remembered,
        lock=found,
        containers=tuple(c for c in containers if TASK not in c.labels),
        port_owners={port: row.name for row in listed for port in row.ports},
        tasks=tuple(c for c in containers if TASK in c.labels),
        images=tuple(images),
        copies=tuple(sorted(filter(None, (row.copy_beside(service, environment) for row in listed)))),
        rehearsals=tuple(row.name for row in listed if row.labels.get(REHEARSAL) == f"{environment}/{service}"),
        foreign=tuple(_foreign(session, listed, adopt, _replaced(found) - {c.id for c in containers})),
    )


def _foreign(
    session: Session, listed: Sequence[Listed], names: Collection[str], ids: Collection[str]
) -> Iterator[Container]:
    for row in listed:
        if row.name in names or row.id in ids:
            with contextlib.suppress(NotFound):
                yield session.engine.inspect(row.id)


def _replaced(found: FoundLock | None) -> frozenset[str]:
    intent = found.lock.intent if found and found.lock else None
    return frozenset(old.container for old in intent.olds) if intent else frozenset()


def _lock(session: Session, environment: str, service: str) -> FoundLock | None:
    """The lock; if we hold it, as we last wrote it, because nobody else writes it."""
    if session.lease:
        return FoundLock(session.lease.lock, 0.0)
    return lock.read(session.connection, environment, service, now=session.now())
