"""Check an inventory as a deployment would read it: every environment, every host, and the variables of a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relman.config.deploy import frozen, resolve_on
from relman.config.inventory.environments import Inventory
from relman.model.errors import ConfigError, Problem
from relman.model.host import Environment
from relman.model.service import Service
from relman.model.settings import DeploySettings


def check_environments(
    inventory: Inventory,
    names: Iterable[str],
    *,
    ssh_config: Path | str | None = None,
    known_hosts: Sequence[Path | str] = (),
) -> tuple[list[Environment], list[Problem]]:
    """Return the valid environments of these names, and all problems of the others. Raises UsageError for an unknown
    name."""
    good: list[Environment] = []
    problems: dict[Problem, None] = {}
    for name in names:
        try:
            good.append(inventory.environment(name, ssh_config=ssh_config, known_hosts=known_hosts))
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    return good, list(problems)


Settings = Mapping[str, Mapping[str, DeploySettings]]
"""By the names of environments and of their hosts."""


def check_settings(service: Service, file: str, environments: Iterable[Environment]) -> tuple[Settings, list[Problem]]:
    """Return the settings of the service on each host that it may be deployed to, and the problems of its deploy
    section there."""
    try:
        written = frozen(service)
    except ConfigError as error:
        return {}, list(error.problems)
    found: dict[str, dict[str, DeploySettings]] = {}
    problems: list[Problem] = []
    for environment in environments:
        if service.name not in environment.services:
            continue
        own = found.setdefault(environment.name, {})
        for host in environment.hosts:
            origin = f"{file}, for {host.name} in {environment.name}"
            try:
                own[host.name] = resolve_on(host, service.name, written, origin=origin)
            except ConfigError as error:
                problems += error.problems
    return found, problems
