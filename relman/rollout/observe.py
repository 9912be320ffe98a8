"""Look at one host: its engine, its record, its lock, this service's containers."""

from __future__ import annotations

from relman.hosts import lock, record
from relman.model.container import ENVIRONMENT, SERVICE, TASK
from relman.model.errors import NotFound
from relman.model.plan import Observed
from relman.model.record import Deployed
from relman.rollout.fleet import Session
from relman.rollout.target import before


def observe(session: Session, environment: str, service: str, *, rollback: bool = False) -> Observed:
    """See what is on the host; with `rollback`, also whether the image of the release before is still there.

    Raises what the connection, the engine and the record raise.
    """
    facts = session.engine.facts()
    remembered = record.read(session.connection, environment, service)
    containers, owners = session.engine.survey({SERVICE: service, ENVIRONMENT: environment})
    target = before(remembered, remembered.serving) if remembered.serving else None
    return Observed(
        host=session.host.name,
        facts=facts,
        record=remembered,
        lock=lock.read(session.connection, environment, service, now=facts.clock),
        containers=tuple(c for c in containers if TASK not in c.labels),
        port_owners=owners,
        rollback_kept=bool(rollback and target and is_kept(session, target)),
        tasks=tuple(c for c in containers if TASK in c.labels),
    )


def is_kept(session: Session, entry: Deployed) -> bool:
    """Whether the host still holds the entry's very image."""
    return kept_image(session, entry) is not None


def kept_image(session: Session, entry: Deployed) -> str | None:
    """The local reference of the entry's very image, or None when the host no longer holds it."""
    for reference in (entry.kept_as, entry.repository.at(entry.manifest)):
        try:
            if session.engine.image(reference).id == entry.image_id:
                return reference
        except NotFound:
            continue
    return None
