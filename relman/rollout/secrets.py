"""Secrets on their way into containers, and out of the host when nothing names them any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from relman.hosts.state_dir import record, secrets
from relman.model.container import DEPLOYMENT, ENVIRONMENT, SERVICE
from relman.model.errors import PreflightFailed, RelmanError, StepFailed
from relman.model.grants.secrets import texts
from relman.model.plan import Plan
from relman.model.settings import Mount, RunSettings
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Session
from relman.rollout.state.journal import Journal


def bring(session: Session, plan: Plan, entry: Deployed) -> None:
    """Have the values of the entry's secrets on the host before a container of it is created or taken again: those of
    this very deployment are written, others must be there. Raises StepFailed where one is gone, and what the connection
    raises."""
    if not entry.settings.every_secret:
        return
    if entry.secrets is None:
        raise StepFailed(f"{entry.release} needs secrets, and none are remembered for it", host=session.host.name)
    if entry.secrets.directory == plan.id:
        _store(session, plan)
        return
    where = (session.connection, plan.environment, plan.service, entry.secrets.directory)
    if lost := secrets.missing(*where, [each.name for each in entry.settings.every_secret]):
        raise StepFailed(
            f"the host has lost secrets of {entry.release}: {', '.join(lost)}",
            host=session.host.name,
            hint=f"relman deploy {entry.release} brings them again",
        )


def equipped(session: Session, plan: Plan, entry: Deployed, settings: RunSettings) -> RunSettings:
    """Settings of the entry as a container is created with them, once `bring` has brought their values: its secrets
    mounted, or in its variables. What is returned holds values: it is for the engine alone."""
    kept = entry.secrets
    if kept is None:
        return settings
    where = (session.connection, plan.environment, plan.service, kept.directory)
    mounts = tuple(Mount(secrets.path(*where, s.name), s.file, True) for s in settings.secrets if s.file)
    variables = {s.env: _variable(session, plan, kept.directory, s.name) for s in settings.secrets if s.env}
    return replace(settings, volumes=(*settings.volumes, *mounts), env={**settings.env, **variables})


def _store(session: Session, plan: Plan) -> None:
    """Write what the deployment brought along, once."""
    if not session.stored:
        session.stored = True  # from here something may be there
        secrets.write(session.connection, plan.environment, plan.service, plan.id, session.secrets)


def _variable(session: Session, plan: Plan, directory: str, name: str) -> str:
    """The value as a variable: a line end at its very end is not part of it."""
    value: bytes | None = session.secrets.get(name) if directory == plan.id else None
    if value is None:
        value = secrets.read(session.connection, plan.environment, plan.service, directory, name)
    try:
        return (value or b"").decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise PreflightFailed(
            f"the secret {name} is not text, and cannot be a variable", host=session.host.name
        ) from error


def hide_kept(journal: Journal, entries: Iterable[tuple[str, tuple[Deployed | None, ...]]]) -> None:
    """Let neither the screen nor the journal tell the values that hosts keep for these entries, by host: a container
    that failed may have printed them. What cannot be read is not known."""
    kept = {host: [e for e in own if e and e.secrets] for host, own in entries}

    def one(session: Session) -> list[bytes]:
        where = (session.connection, journal.asked.environment, journal.asked.service)
        named = {
            (e.secrets.directory, ref.name)
            for e in kept[session.host.name]
            for ref in e.settings.every_secret
            if e.secrets
        }
        return [value for each in sorted(named) if (value := secrets.read(*where, *each))]

    found = journal.fleet.each(one, [host for host, own in kept.items() if own]).answers
    known = texts({value for values in found.values() for value in values})
    journal.watcher.hide(known)
    journal.secrets = (*journal.secrets, *known)


def drop_unneeded(session: Session, environment: str, service: str) -> str:
    """Remove the sets that neither the record nor a container unknown to it needs; returns a warning about what
    could not be removed ("" when there is none). The lock must be held, and nothing be intended."""
    try:
        if session.stored or secrets.kept(session.connection, environment, service):
            _drop(session, environment, service)
    except RelmanError as error:
        return f"secrets that nothing needs any more could not be removed: {error.what}"
    return ""


def _drop(session: Session, environment: str, service: str) -> None:
    where = (session.connection, environment, service)
    found, known, (containers, _) = session.connection.together(
        partial(secrets.sets, *where),
        partial(record.read, *where),
        partial(session.engine.survey, {SERVICE: service, ENVIRONMENT: environment}),
    )
    needed = {e.secrets.directory for e in known.entries if e.secrets}
    recorded = {id for e in known.entries for id in e.ids}
    needed |= {c.labels.get(DEPLOYMENT, "") for c in containers if c.id not in recorded}
    for directory in found:
        if directory not in needed:
            secrets.remove(*where, directory)
    if not needed & set(found):
        secrets.remove_all(*where)
