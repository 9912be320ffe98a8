"""Secrets that are kept in age files beside the inventory: written, read and listed for a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relman.app.context import Context
from relman.app.deployments.secrets import keys_of
from relman.app.environments import Request, open_environment
from relman.config.secrets.age import KEY_FILE, encrypt
from relman.config.secrets.values import LARGEST, Unresolved, described, lacking, path_of, value_of
from relman.model.errors import PreflightFailed, UsageError
from relman.model.grants.secrets import SecretSource, SourceKind
from relman.model.host import Environment

_EMPTY = "type it at a terminal, send it to standard input, or name a file with --from"


@dataclass(frozen=True)
class ListedSecret:
    """A secret of an environment: its source for people, its hosts, the services that get it (none named:
    all), and what is missing ("" for nothing)."""

    name: str
    kind: SourceKind
    source: str
    hosts: tuple[str, ...]
    services: tuple[str, ...]
    lacking: str


def list_secrets(context: Context, request: Request) -> list[ListedSecret]:
    """All secrets of an environment, by name; no value is resolved."""
    chosen = open_environment(context, request)
    hosts: dict[tuple[str, SecretSource], list[str]] = {}
    for host in chosen.hosts:
        for name, source in host.secrets.items():
            hosts.setdefault((name, source), []).append(host.name)
    return [
        ListedSecret(name, source.kind, described(source), tuple(names), source.services, lacking(source))
        for (name, source), names in sorted(hosts.items(), key=lambda item: item[0][0])
    ]


def get_secret(context: Context, request: Request, name: str) -> bytes:
    """A value, from whatever source. Raises UsageError where the inventory does not know one, PreflightFailed where it
    cannot be resolved."""
    source = _source(open_environment(context, request), name)
    try:
        return value_of(source, keys_of(context))
    except Unresolved as error:
        raise PreflightFailed(f"{name}: {error}", details=error.lines, hint=f"see {source.origin}") from None


def set_secret(context: Context, request: Request, name: str, value: bytes) -> tuple[Path, tuple[str, ...]]:
    """Write a value into its age file, and say which, and for whom it is encrypted. Raises UsageError."""
    source = _source(open_environment(context, request), name)
    if source.kind is not SourceKind.AGE:
        raise UsageError(f"{name} comes from {described(source)}, not from an age file", hint=f"see {source.origin}")
    if not value or len(value) > LARGEST:
        text = f"the value of {name} is {'larger than 1 MiB' if value else 'empty'}"
        raise UsageError(text, hint="" if value else _EMPTY)
    try:
        readers = encrypt(path_of(source), value, context.environ.get(KEY_FILE, ""))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    return path_of(source), readers


def _source(chosen: Environment, name: str) -> SecretSource:
    found = dict.fromkeys(h.secrets[name] for h in chosen.hosts if name in h.secrets)
    if not found:
        raise UsageError(
            f"relman_secrets in the inventory of {chosen.name} does not have {name}",
            hint=f"add there, for all or some hosts: relman_secrets: {{{name}: {{age: secrets/{name}.age}}}}",
        )
    if len(found) > 1:
        origins = ", ".join(source.origin for source in found)
        raise UsageError(f"{name} is not the same on all hosts of {chosen.name}: {origins}", hint="use age for these")
    return next(iter(found))
