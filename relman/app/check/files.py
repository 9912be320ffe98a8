"""Part of `relman check`: whether relman.yml and the inventory are valid, alone and together. No host is connected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relman.app.check.dockerfile import doubt, missing_stages
from relman.app.check.secrets import missing_secrets
from relman.app.context import Context
from relman.app.factories import INVENTORIES, inventory_of, ssh_files
from relman.config.check import Settings, check_environments, check_settings
from relman.config.service import FILE_NAME, check_service, load_service
from relman.config.trust import load_trust
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.host import Environment
from relman.model.policy import Demands
from relman.model.service import Service
from relman.rollout.planning.permissions import allow_line, judge


@dataclass(frozen=True)
class GoodFiles:
    """Valid files: the service in `file`, None if that file does not exist, and environments."""

    file: str
    service: Service | None
    environments: Sequence[Environment]
    settings: Settings

    @property
    def doubts(self) -> Iterator[str]:
        """Warnings: settings that are valid, but probably a mistake."""
        if not (service := self.service):
            return
        if why := doubt(service):
            yield f"{self.file}: {why}"
        if self.environments and not any(service.name in each.services for each in self.environments):
            yield f"no environment checked here knows the service {service.name}: see relman_services"
        for each in self.environments:
            judged = judge(service.name, self.settings.get(each.name, {}), each.hosts)
            line = allow_line(service.name, judged.wanted)
            for text in judged.refused:
                yield f"{each.name} does not allow {text}; to allow it, write in the inventory: {line}"


def check_files(context: Context, file: str | None, environment: str | None, inventories: Sequence[str]) -> GoodFiles:
    """Check `file` (None: relman.yml, if it exists), and one or all environments of the inventory, if there is one.

    Raises ConfigError with all problems, and UsageError.
    """
    named = file or FILE_NAME
    asked = bool(environment or inventories or Path(INVENTORIES).is_dir())
    wanted = asked or bool(context.environ.get("RELMAN_INVENTORY"))
    here = bool(file) or Path(FILE_NAME).is_file() or not asked
    problems = check_service(named) if here else []
    environments: list[Environment] = []
    sealed = False
    if wanted:
        environments, faults, sealed = _environments(context, environment, inventories)
        problems += faults
    service = load_service(named) if here and not problems else None
    settings: Settings = {}
    problems += _trust_problems(environments, service)
    if service:
        problems += missing_stages(service, named)
        settings, faults = check_settings(service, named, environments)
        problems += faults
        wanted_secrets = service.deploy.get("secrets") or {}
        problems += missing_secrets(named, wanted_secrets, environments, service.name, sealed=sealed)
    if problems:
        raise ConfigError(problems)
    return GoodFiles(named, service, environments, settings)


def _environments(
    context: Context, environment: str | None, inventories: Sequence[str]
) -> tuple[list[Environment], list[Problem], bool]:
    """The good ones, the problems of the others, and whether there are files that no password given opens."""
    try:
        inventory = inventory_of(context, inventories)
    except ConfigError as error:
        return [], list(error.problems), False
    names = [environment] if environment else inventory.deployable
    if not names:
        raise UsageError(
            f"no group in {', '.join(inventory.files)} says what may be deployed to it",
            hint="set relman_services for a group of hosts: it maps each service to its repository",
        )
    for skipped in inventory.skipped:
        context.events.warn(f"{skipped} is encrypted with ansible-vault and was skipped")
    return *check_environments(inventory, names, **ssh_files(context)), bool(inventory.skipped)


def _trust_problems(environments: Sequence[Environment], service: Service | None) -> list[Problem]:
    """The problems of every trust.yml that is named. Raises UsageError for one that does not exist."""
    demands: list[Demands] = [*(each.demands for each in environments), *([service.release.demands] if service else [])]
    problems: list[Problem] = []
    for file in dict.fromkeys(d.trust for d in demands if d.trust):
        try:
            load_trust(file)
        except ConfigError as error:
            problems += error.problems
    return problems
