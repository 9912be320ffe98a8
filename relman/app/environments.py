"""Select the environment, hosts and service of a command."""

from __future__ import annotations

import fnmatch
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relman.app.context import Context
from relman.app.factories import environment
from relman.model.errors import ConfigError, UsageError
from relman.model.formats.text import some
from relman.model.host import Environment
from relman.model.image import Repository

ALL = "all"  # in the place of a service's name, for commands that look


@dataclass(frozen=True)
class Selected:
    """The selected part of an environment, the whole of it, and the reason for each excluded host."""

    environment: Environment
    whole: Environment
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """The target and limits of a command: an environment of an inventory, its service (None: its only one), the hosts
    (patterns and groups), and why others are excluded. `wait_lock` is in seconds;
    `new_volumes` may be made beside volumes that compose made under these names; `adopt` are the names of containers of
    others that are replaced."""

    environment: str
    inventories: Sequence[str] = ()
    service: str | None = None
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    reason: str | None = None
    wait_lock: float = 0.0
    max_unavailable: str | None = None
    new_volumes: Sequence[str] = ()
    adopt: Sequence[str] = ()

    def selected(self, context: Context) -> Selected:
        """The environment without excluded hosts. Raises ConfigError and UsageError."""
        selected = select(
            environment(context, self.environment, self.inventories), self.only, self.exclude, self.reason
        )
        if selected.left_out:
            reasons = ", ".join(dict.fromkeys(selected.left_out.values()))
            context.events.warn(f"left out: {', '.join(selected.left_out)} ({reasons})")
        return selected


def open_environment(context: Context, request: Request) -> Environment:
    """The environment from the inventory, or the part of it to look at."""
    return looked_at(context, request).environment


def looked_at(context: Context, request: Request) -> Selected:
    """The part of the environment to look at, and the whole of it."""
    whole = environment(context, request.environment, request.inventories)
    return select(whole, request.only, request.exclude, _LOOKING)


_LOOKING = "it is not looked at"


def select(chosen: Environment, only: Sequence[str], excluded: Sequence[str], reason: str | None) -> Selected:
    """The environment with only some hosts, or without some. Each is given by name, pattern or group, separated by
    commas.

    Raises UsageError.
    """
    names = [h.name for h in chosen.hosts]
    kept, dropped = _named(chosen, only), _named(chosen, excluded)
    if only and excluded:
        raise UsageError("--only and --exclude exclude each other: give one of them")
    if excluded and not reason:
        raise UsageError("--exclude needs --reason", hint="say why: status and history show it")
    if dropped == set(names):
        raise UsageError(f"every host of {chosen.name} is excluded")
    out = [n for n in names if n in dropped or (only and n not in kept)]
    why = reason or f"only {', '.join(only)} was asked for"
    part = replace(chosen, hosts=tuple(h for h in chosen.hosts if h.name not in out))
    return Selected(part, chosen, dict.fromkeys(out, why))


def _named(chosen: Environment, given: Sequence[str]) -> set[str]:
    """The hosts that are meant. Raises UsageError for a word that matches none."""
    names = [h.name for h in chosen.hosts]
    found: set[str] = set()
    for word in filter(None, (w.strip() for words in given for w in words.split(","))):
        meant = {word} & set(names) or set(chosen.groups.get(word, ())) or set(fnmatch.filter(names, word))
        if not meant:
            groups = [g for g in chosen.groups if g != chosen.name]
            hint = f"its hosts are {some(names, 10)}" + (f"; its groups {some(groups, 10)}" if groups else "")
            raise UsageError(f"{chosen.name} has no host {word!r}", hint=hint)
        found |= meant
    return found


def service_of(chosen: Environment, wanted: str | None) -> str:
    """The given service, or the environment's only one. Raises UsageError."""
    known = sorted(chosen.services)
    if wanted:
        return wanted
    if len(known) == 1:
        return known[0]
    hint = (
        f"its services are {', '.join(known)}" if known else "set relman_services in the inventory, or pass --service"
    )
    raise UsageError(f"{chosen.name} has {'several services' if known else 'no services'}: give --service", hint=hint)


def service_meant(chosen: Environment, wanted: str | None) -> str:
    """As `service_of`; of several services the one of the current directory. Raises UsageError."""
    return service_of(chosen, wanted or (service_here(chosen) if len(chosen.services) > 1 else None))


def one_or_all(known: Container[str], wanted: str | None) -> str | None:
    """The given service, or None for all, unless one of the `known` services has that name."""
    return None if wanted == ALL and ALL not in known else wanted


def service_here(chosen: Environment) -> str | None:
    """The service of the current directory's relman.yml, if it is valid and the environment has it."""
    from relman.config.service import FILE_NAME, load_service

    try:
        name = load_service(FILE_NAME).name if Path(FILE_NAME).is_file() else None
    except ConfigError:
        return None
    return name if name in chosen.services else None


def repository_of(chosen: Environment, service: str) -> Repository:
    """The repository of the service's images, by the inventory. Raises UsageError."""
    if service not in chosen.services:
        known = ", ".join(sorted(chosen.services)) or "none"
        raise UsageError(
            f"{chosen.name} has no repository for the service {service!r}",
            hint=f"add it to relman_services in the inventory; known there: {known}",
        )
    return chosen.services[service]


def unknown_service(chosen: Environment, service: str, remembered: Iterable[str] = ()) -> UsageError:
    """The error for a service that neither the inventory nor any host knows; `remembered` are those that the hosts
    know."""
    known = ", ".join(sorted({*chosen.services, *remembered})) or "none"
    return UsageError(f"no host of {chosen.name} knows the service {service!r}", hint=f"known there: {known}")
