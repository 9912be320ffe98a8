"""Secrets and files on their way into containers, and out of the host when nothing names them any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from relman.hosts.state_dir import record
from relman.hosts.state_dir.file_sets import FILES, KINDS, SECRETS, Content, FileSets
from relman.model.container import DEPLOYMENT, ENVIRONMENT, SERVICE
from relman.model.errors import RelmanError, StepFailed
from relman.model.plan import Plan
from relman.model.settings import Mount, RunSettings
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Session
from relman.rollout.secrets import variable


class _Needed(NamedTuple):
    """A set that an entry needs: the names of its files, each with what people call it."""

    kind: Content
    directory: str
    names: Mapping[str, str]


def _needed(entry: Deployed) -> Iterator[_Needed]:
    secrets, files = entry.settings.every_secret, entry.settings.every_file
    if secrets and entry.secrets:
        yield _Needed(SECRETS, entry.secrets.directory, {each.name: each.name for each in secrets})
    if files:
        yield _Needed(FILES, entry.files, {each.digest: each.name for each in files})


def bring(session: Session, plan: Plan, entry: Deployed) -> None:
    """Have the secrets and files of the entry on the host before a container of it is created or taken again: those of
    this very deployment are written, others must be there. Raises StepFailed where one is gone, and what the connection
    raises."""
    host = session.host.name
    if entry.settings.every_secret and entry.secrets is None:
        raise StepFailed(f"{entry.release} needs secrets, and none are remembered for it", host=host)
    for kind, directory, names in _needed(entry):
        if directory == plan.id:
            _store(session, plan)
        elif lost := _sets(session, plan.environment, plan.service, kind).missing(directory, names):
            raise StepFailed(
                f"the host has lost {kind.folder} of {entry.release}: {', '.join(names[each] for each in lost)}",
                host=host,
                hint=f"relman deploy {entry.release} brings them again",
            )


def equipped(session: Session, plan: Plan, entry: Deployed, settings: RunSettings) -> RunSettings:
    """Settings of the entry as a container is created with them, once `bring` has brought what it needs: its files and
    secrets mounted, or secrets in its variables. What is returned holds values: it is for the engine alone."""
    files = _sets(session, plan.environment, plan.service, FILES)
    mounts = [Mount(files.path(entry.files, f.digest), f.target, True) for f in settings.files]
    variables: dict[str, str] = {}
    if kept := entry.secrets:
        secrets = _sets(session, plan.environment, plan.service, SECRETS)
        brought = session.secrets if kept.directory == plan.id else {}
        mounts += [Mount(secrets.path(kept.directory, s.name), s.file, True) for s in settings.secrets if s.file]
        variables = {s.env: variable(secrets, kept.directory, s.name, brought) for s in settings.secrets if s.env}
    return replace(settings, volumes=(*settings.volumes, *mounts), env={**settings.env, **variables})


def _sets(session: Session, environment: str, service: str, kind: Content) -> FileSets:
    return FileSets(session.connection, environment, service, kind)


def _store(session: Session, plan: Plan) -> None:
    """Write what the deployment brought along, once."""
    if session.stored:
        return
    session.stored = True  # from here something may be there
    for kind, contents in ((SECRETS, session.secrets), (FILES, session.files)):
        if contents:
            _sets(session, plan.environment, plan.service, kind).write(plan.id, contents)


def drop_unneeded(session: Session, environment: str, service: str) -> str:
    """Remove the sets that neither the record nor a container unknown to it needs; returns a warning about what
    could not be removed ("" when there is none). The lock must be held, and nothing be intended."""
    there: list[FileSets] = []
    try:
        kinds = [_sets(session, environment, service, kind) for kind in KINDS]
        there = [sets for sets in kinds if session.stored or sets.kept]
        if there:
            _drop(session, there, environment, service)
    except RelmanError as error:
        what = " and ".join(sets.kind.folder for sets in there) or "secrets and files"
        return f"{what} that nothing needs any more could not be removed: {error.what}"
    return ""


def _drop(session: Session, there: list[FileSets], environment: str, service: str) -> None:
    known, (containers, _), *found = session.connection.together(
        partial(record.read, session.connection, environment, service),
        partial(session.engine.survey, {SERVICE: service, ENVIRONMENT: environment}),
        *(sets.all for sets in there),
    )
    recorded = {id for e in known.entries for id in e.ids}
    strangers = {c.labels.get(DEPLOYMENT, "") for c in containers if c.id not in recorded}
    named = [need for e in known.entries for need in _needed(e)]
    for sets, directories in zip(there, found, strict=True):
        needed = strangers | {need.directory for need in named if need.kind is sets.kind}
        for directory in directories:
            if directory not in needed:
                sets.remove(directory)
        if not needed & set(directories):
            sets.remove_all()
