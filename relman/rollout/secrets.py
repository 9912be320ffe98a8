"""The values of secrets that hosts keep, as variables and as what nobody may be told."""

from __future__ import annotations

from collections.abc import Iterable

from relman.hosts.state_dir.file_sets import SECRETS, FileSets
from relman.model.errors import PreflightFailed
from relman.model.grants.secrets import Values, texts
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Fleet, Session
from relman.rollout.planning.planner import Asked
from relman.rollout.state.journal import Journal


def variable(secrets: FileSets, directory: str, name: str, brought: Values) -> str:
    """A value, `brought` along or kept on the host, as a variable: a line end at its very end is not part of it. Raises
    PreflightFailed where it is not text, and what the connection raises."""
    value = brought.get(name)
    if value is None:
        value = secrets.read(directory, name)
    try:
        return (value or b"").decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        host = secrets.connection.host.name
        raise PreflightFailed(f"the secret {name} is not text, and cannot be a variable", host=host) from error


def hide_kept(journal: Journal, entries: Iterable[tuple[str, tuple[Deployed | None, ...]]]) -> None:
    """Let neither the screen nor the journal tell the values that hosts keep for these entries, by host: a container
    that failed may have printed them. What cannot be read is not known."""
    known = kept_texts(journal.fleet, journal.asked, entries)
    journal.watcher.hide(known)
    journal.secrets = (*journal.secrets, *known)


def kept_texts(
    fleet: Fleet, asked: Asked, entries: Iterable[tuple[str, tuple[Deployed | None, ...]]]
) -> frozenset[str]:
    """The values that hosts keep for these entries, by host, as they may stand in a text. What cannot be read is not
    known."""
    kept = {host: [e for e in own if e and e.secrets] for host, own in entries}

    def one(session: Session) -> list[bytes]:
        sets = FileSets(session.connection, asked.environment, asked.service, SECRETS)
        named = {
            (e.secrets.directory, ref.name)
            for e in kept[session.host.name]
            for ref in e.settings.every_secret
            if e.secrets
        }
        return [value for each in sorted(named) if (value := sets.read(*each))]

    found = fleet.each(one, [host for host, own in kept.items() if own]).answers
    return frozenset(texts({value for values in found.values() for value in values}))
