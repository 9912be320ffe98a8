"""Judge what a release asks of its hosts and of the deployer's machine by what the inventory grants it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from relman.model.errors import PolicyRefused
from relman.model.formats.text import some
from relman.model.grants.permissions import LENIENT, Permission, needed
from relman.model.host import Environment, Host
from relman.model.plan import Plan
from relman.model.settings import DeploySettings

_Asked = Mapping[Permission, tuple[str, ...]]


@dataclass(frozen=True)
class Judgement:
    """What hosts do not grant, as lines: `refused`, or still `tolerated`. `wanted` is all that has to be granted."""

    refused: tuple[str, ...]
    tolerated: tuple[str, ...]
    wanted: frozenset[Permission]


def judge(service: str, settings: Mapping[str, DeploySettings], hosts: Iterable[Host]) -> Judgement:
    """Judge the settings of a service, by the names of its hosts. Its tasks run with the same settings."""
    granting = {host.name: host for host in hosts}
    asked = {name: needed(own) for name, own in settings.items()}
    refused, tolerated = (
        _lines({name: _missing(its, granting[name], service, lenient=lenient) for name, its in asked.items()})
        for lenient in (False, True)
    )
    granted = frozenset(permission for name in asked for permission in granting[name].allow.get(service, ()))
    return Judgement(refused, tolerated, granted.union(*asked.values()))


def check_permissions(plan: Plan, environment: Environment) -> Plan:
    """Return the plan, with a warning for what is only tolerated, if the inventory grants all that it needs.

    Raises PolicyRefused with each host and key otherwise, and with the line that grants all of it.
    """
    judged = judge(plan.service, {s.host: s.entry.settings for s in plan.steps}, environment.hosts)
    commands = _commands(plan, environment) if plan.steps else {}
    line = allow_line(plan.service, judged.wanted.union(commands))
    if commands or judged.refused:
        alone = ", or relman_local_commands: true" if commands and not judged.refused else ""
        raise PolicyRefused(
            f"{plan.service} {plan.release} requires what the inventory does not allow",
            details=[*(f"this machine: {p}: {'; '.join(its)}" for p, its in commands.items()), *judged.refused],
            hint=f"nothing was changed; to allow it, write in the inventory: {line}{alone}",
        )
    only = f"which the inventory tolerates only as long as it has no relman_allow for {plan.service}; add {line}"
    return replace(plan, warnings=(*plan.warnings, *(f"{text}, {only}" for text in judged.tolerated)))


def _commands(plan: Plan, environment: Environment) -> dict[Permission, list[str]]:
    """The commands that the release would run on this machine, and that the inventory does not allow."""
    checks = [check.command for wave in plan.waves for check in wave.checks if check.command]
    asked = {Permission.HOOKS: [hook.command for hook in plan.hooks], Permission.CHECKS: checks}
    granted = [host.allow.get(plan.service, ()) for host in environment.hosts]
    return {
        permission: [shlex.join(command) for command in commands]
        for permission, commands in asked.items()
        if commands and not environment.local_commands and not all(permission in its for its in granted)
    }


def _missing(asked: _Asked, host: Host, service: str, *, lenient: bool) -> _Asked:
    """What the host does not grant and is refused, or (`lenient`) is tolerated."""
    granted = host.allow.get(service)
    missing = {permission: what for permission, what in asked.items() if permission not in (granted or ())}
    tolerant = granted is None
    return {p: what for p, what in missing.items() if (tolerant and p in LENIENT) is lenient}


def _lines(by_host: Mapping[str, _Asked]) -> tuple[str, ...]:
    """Each key with what it is needed for, and the hosts where it is the same."""
    hosts: dict[str, list[str]] = {}
    for name, asked in by_host.items():
        for permission, what in asked.items():
            hosts.setdefault(f"{permission}: {', '.join(what)}", []).append(name)
    return tuple(f"{some(names)}: {text}" for text, names in hosts.items())


def allow_line(service: str, permissions: Collection[Permission]) -> str:
    """The line of the inventory that grants these."""
    return f"relman_allow: {{{service}: [{', '.join(p for p in Permission if p in permissions)}]}}"
