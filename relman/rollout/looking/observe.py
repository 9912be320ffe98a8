"""Observe one host: its engine, record and lock, and the service's containers and images."""

from __future__ import annotations

from functools import partial

from relman.hosts.state_dir import lock, record
from relman.model.container import ENVIRONMENT, SERVICE, TASK
from relman.model.plan import Observed
from relman.model.state_dir.lock import FoundLock
from relman.model.state_dir.record import kept_name
from relman.rollout.fleet import Session


def observe(session: Session, environment: str, service: str) -> Observed:
    """Observe the host. Raises what the connection, the engine and the record raise."""
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
    )


def _lock(session: Session, environment: str, service: str) -> FoundLock | None:
    """The lock; if we hold it, as we last wrote it, because nobody else writes it."""
    if session.lease:
        return FoundLock(session.lease.lock, 0.0)
    return lock.read(session.connection, environment, service, now=session.now())
