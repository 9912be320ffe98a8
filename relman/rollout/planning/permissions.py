"""Judge what a release asks of its hosts and of the deployer's machine by what the inventory grants it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace

from relman.model.errors import PolicyRefused
from relman.model.formats.text import some
from relman.model.grants.permissions import LENIENT, Permission, needed
from relman.model.host import Environment, Host
from relman.model.plan import Plan

_Asked = Mapping[Permission, tuple[str, ...]]


def check_permissions(plan: Plan, environment: Environment) -> Plan:
    """Return the plan, with a warning for what is only tolerated, if the inventory grants all that it needs.

    Raises PolicyRefused with each host and key otherwise. Tasks run with the settings of their service.
    """
    _check_commands(plan, environment)
    hosts = {host.name: host for host in environment.hosts}
    asked = {step.host: needed(step.entry.settings) for step in plan.steps}
    refused = {name: _missing(asked[name], hosts[name], plan.service, lenient=False) for name in asked}
    if any(refused.values()):
        wanted = {permission for its in asked.values() for permission in its}
        wanted |= {permission for name in asked for permission in hosts[name].allow.get(plan.service, ())}
        raise PolicyRefused(
            f"{plan.service} {plan.release} asks for more than the inventory allows",
            details=_lines(refused),
            hint=f"nothing was changed; to allow it, write in the inventory: {_line(plan.service, wanted)}",
        )
    tolerated = {name: _missing(asked[name], hosts[name], plan.service, lenient=True) for name in asked}
    warnings = [
        f"{line}: not allowed in the inventory, and tolerated as long as that has no relman_allow for {plan.service}"
        for line in _lines(tolerated)
    ]
    return replace(plan, warnings=(*plan.warnings, *warnings))


def _missing(asked: _Asked, host: Host, service: str, *, lenient: bool) -> _Asked:
    """What the host does not grant and is refused, or (`lenient`) is tolerated."""
    granted = host.allow.get(service)
    missing = {permission: what for permission, what in asked.items() if permission not in (granted or ())}
    tolerant = granted is None
    return {p: what for p, what in missing.items() if (tolerant and p in LENIENT) is lenient}


def _lines(by_host: Mapping[str, _Asked]) -> list[str]:
    """Each key with what it is needed for, and the hosts where it is the same."""
    hosts: dict[str, list[str]] = {}
    for name, asked in by_host.items():
        for permission, what in asked.items():
            hosts.setdefault(f"{permission}: {', '.join(what)}", []).append(name)
    return [f"{some(names)}: {text}" for text, names in hosts.items()]


def _line(service: str, permissions: Collection[Permission]) -> str:
    """The line of the inventory that grants these."""
    return f"relman_allow: {{{service}: [{', '.join(p for p in Permission if p in permissions)}]}}"


def _check_commands(plan: Plan, environment: Environment) -> None:
    """Raise PolicyRefused if the release would run commands on this machine and the inventory does not allow it."""
    checks = [check.command for wave in plan.waves for check in wave.checks if check.command]
    asked = {Permission.CHECKS: checks, Permission.HOOKS: [hook.command for hook in plan.hooks]}
    granted = [set(host.allow.get(plan.service, ())) for host in environment.hosts]
    missing = [p for p, commands in asked.items() if commands and not all(p in its for its in granted)]
    if missing and plan.steps and not environment.local_commands:
        line = _line(plan.service, {*missing, *(p for its in granted for p in its)})
        raise PolicyRefused(
            f"{plan.service} {plan.release} would run commands on this machine",
            details=[f"{p}: {shlex.join(command)}" for p in missing for command in asked[p]],
            hint=f"to allow it, write in the inventory, for all of {environment.name}: {line}, or "
            "relman_local_commands: true",
        )
