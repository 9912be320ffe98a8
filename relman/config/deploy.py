"""The deploy section: frozen into an image when it is built, resolved for a host when it is deployed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from relman.config.deploy_files import file_contents
from relman.config.deploy_variables import fill, names
from relman.config.env_file import deploy_section
from relman.config.process_choice import chosen, collisions
from relman.config.yaml_document import KeyPath, dotted
from relman.model.container_settings import OF_THE_PROCESS, ContainerSettings
from relman.model.errors import ConfigError, Problem
from relman.model.files import DeployFile
from relman.model.host import Host
from relman.model.service import Service
from relman.model.settings import DeploySettings, Health, Process, RunSettings

NO_FILES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Frozen:
    """A deploy section as it travels with an image, and the contents of its files by name."""

    section: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def frozen(service: Service) -> Frozen:
    """What an image of the service brings along. Raises ConfigError."""
    return Frozen(deploy_section(service), file_contents(service))


def freeze(service: Service) -> str:
    """The deploy section as written, as canonical JSON: the value of the image's label."""
    return json.dumps(deploy_section(service), sort_keys=True, separators=(",", ":"))


def resolve(
    section: Mapping[str, Any],
    variables: Mapping[str, str],
    env: Mapping[str, str],
    *,
    origin: str,
    secret: Collection[str] = (),
    processes: Mapping[str, int | None] | None = None,
    files: Mapping[str, bytes] = NO_FILES,
) -> DeploySettings:
    """Return the settings of a deploy section on one host.

    Every `${name}` is replaced from `variables`, and refused if it is in `secret`; `env` is added to the section's
    `env` unexpanded, and takes precedence. Of the release's processes those in `processes` are kept, with their numbers
    of replicas where there is one (None: all, as the section says). `files` are the contents that came along. `origin`
    names the section and the host in errors ("the label of shop:117, for web1 in production"). Raises ConfigError with
    all problems.
    """
    from pydantic import ValidationError

    from relman.config.schema.deploy import Deploy
    from relman.config.schema.schema_errors import faults

    filled = _Filling(variables, secret)
    tree = filled.value(dict(section), ())
    if filled.missing:
        raise ConfigError([_problem(origin, path, message) for path, message in filled.missing])
    try:
        settings = Deploy.model_validate(tree).settings()
    except ValidationError as error:
        newer = "this relman does not know the key: the image was built by a newer one, so update relman"
        raise ConfigError(
            [_problem(origin, f.path, newer if f.unknown else f.message) for f in faults(error, Deploy)]
        ) from None
    if missing := sorted({file.name for file in settings.every_file} - files.keys()):
        said = "the image does not carry it: build the image again"
        raise ConfigError([_problem(origin, ("files", name), said) for name in missing])
    settings = _with_contents(settings, files)
    if twice := [ref for ref in settings.every_secret if ref.env in env]:
        said = "the inventory's relman_env gives this variable, too"
        raise ConfigError([_problem(origin, ("secrets", ref.name), said) for ref in twice])
    selection = list(chosen(settings.processes, processes))
    running = tuple(_with_env(p, env) for p in selection if isinstance(p, Process))
    wrong = [fault for fault in selection if not isinstance(fault, Process)] + list(collisions(running))
    if settings.processes and not running and not wrong:
        wrong = [(("processes",), "relman_processes gives this host none of them: leave the host out, or give it one")]
    if wrong:
        raise ConfigError([_problem(origin, path, message) for path, message in wrong])
    return dataclasses.replace(settings, env={**settings.env, **env}, processes=running)


def _with_env(process: Process, env: Mapping[str, str]) -> Process:
    run = dataclasses.replace(process.run, env={**process.run.env, **env})
    return dataclasses.replace(process, run=run)


def _with_contents(settings: DeploySettings, files: Mapping[str, bytes]) -> DeploySettings:
    """The settings with the digests of the files that their containers are given."""

    def of(run: RunSettings) -> tuple[DeployFile, ...]:
        return tuple(file.holding(files[file.name]) for file in run.files)

    processes = tuple(
        dataclasses.replace(p, run=dataclasses.replace(p.run, files=of(p.run))) for p in settings.processes
    )
    return dataclasses.replace(settings, files=of(settings), processes=processes)


def resolve_on(host: Host, service: str, written: Frozen, *, origin: str) -> DeploySettings:
    """Return the settings of a service's deploy section on this host of an inventory, as `resolve` does."""
    return resolve(
        written.section,
        host.variables,
        host.env,
        origin=origin,
        secret=host.secret_variables,
        processes=host.processes.get(service),
        files=written.files,
    )


def as_tested(section: Mapping[str, Any], env: Mapping[str, str]) -> tuple[DeploySettings, Health | None]:
    """Return the settings for an image that its tests start as it is deployed, without an inventory.

    Only command, env, ports, HEALTHCHECK and the settings OF_THE_PROCESS are set; variables of the container that are
    in `env` are omitted. The second value is the health check, None if none is configured. Raises ConfigError with
    everything that only an inventory could fill in.
    """
    from relman.config.schema.base import OPEN
    from relman.config.schema.deploy import Deploy

    filled = _Filling({}, ())
    known = ("health", "healthcheck", *OF_THE_PROCESS)
    closed = {key: filled.value(section[key], (key,)) for key in known if key in section}
    deploy = Deploy.model_validate({**section, **closed}, context=OPEN)
    own = filled.value({name: text for name, text in deploy.env.items() if name not in env}, ("env",))
    command = filled.value(list(deploy.command), ("command",)) if deploy.command else None
    if filled.missing:
        why = "the tests start the image as it is deployed, and no inventory"
        hints = {"env": "give the variable under test.env, too"}
        default = "write a default, ${name:-text}"
        raise ConfigError(
            [
                _problem("relman.yml", path, f"{why} fills this in: {hints.get(str(path[0]), default)}")
                for path, _ in filled.missing
            ]
        )
    check = deploy.healthcheck.value() if deploy.healthcheck else None
    container = deploy.container()
    settings = DeploySettings(
        deploy.all_ports(),
        own,
        command=tuple(command) if command else None,
        healthcheck=check,
        container=ContainerSettings(**{key: getattr(container, key) for key in OF_THE_PROCESS}),
    )
    return settings, deploy.health.value() if deploy.health else None


_SEALED = "the variable {name} is in Ansible Vault, and no secret is filled in here"


class _Filling:
    """Expands variables, and collects the missing ones."""

    def __init__(self, variables: Mapping[str, str], secret: Collection[str]) -> None:
        self.variables = variables
        self.secret = secret
        self.missing: list[tuple[KeyPath, str]] = []

    def value(self, value: Any, path: KeyPath) -> Any:
        """The same value with every text in it expanded."""
        if isinstance(value, list):
            return [self.value(item, (*path, i)) for i, item in enumerate(value)]
        if _is_files(path):
            return value
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        try:
            used = names(value)
            filled = value if any(name in self.secret for name in used) else fill(value, self.variables)
        except ValueError as error:
            self.missing.append((path, str(error)))
            return value
        self.missing += [(path, _SEALED.format(name=name)) for name in used if name in self.secret]
        return filled


def _is_files(path: KeyPath) -> bool:
    """Whether it is deploy.files, or that of a process: nothing is filled in there."""
    own = path[2:] if path[:1] == ("processes",) else path
    return own == ("files",)


def _problem(origin: str, path: KeyPath, message: str) -> Problem:
    """A problem in a source without lines."""
    return Problem(origin, 0, 0, dotted(("deploy", *path)), message)
