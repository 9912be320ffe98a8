"""From a compose file to relman.yml, an inventory to begin with, and a compose file of what relman does not deploy."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relman.config.compose.accept import accepted
from relman.config.compose.container import container_keys
from relman.config.compose.environment import ProjectVariables, is_secret, secret_in
from relman.config.compose.files import without_files
from relman.config.compose.images import BuiltImage, images, process_name, rest
from relman.config.compose.model import ComposeService, ImageBuild, Lost, Project
from relman.config.compose.rest import REST, linked, rest_tree, test_services
from relman.config.compose.shared import own_keys, shared_keys
from relman.config.compose.text import yaml_text
from relman.model.errors import ConfigError, UsageError

INVENTORY = "inventories/production.yml"
_OVERRIDES = [f"{name}.override.{end}" for name in ("compose", "docker-compose") for end in ("yaml", "yml")]


@dataclass(frozen=True)
class Checkout:
    """What the repository shows of an image: its tests, and whether its Dockerfile has a HEALTHCHECK or an ENTRYPOINT
    that swallows them."""

    tests: tuple[str, ...] = ()
    healthcheck: bool = False
    swallows: bool = False


@dataclass(frozen=True)
class Converted:
    """The files by their paths; `losses` says what could not be said and why, `networks` what the hosts need."""

    files: Mapping[str, str]
    losses: tuple[str, ...]
    networks: tuple[str, ...]
    rest: bool


def convert(project: Project, root: str, registry: str, checkout: Callable[[ImageBuild], Checkout]) -> Converted:
    """relman's files for the project in the directory `root`. Raises UsageError if nothing is built here, ConfigError
    if a file cannot be made valid."""
    return _Conversion(project, root, registry, checkout).result()


class _Conversion:
    """Collects what the files share."""

    def __init__(self, project: Project, root: str, registry: str, checkout: Callable[[ImageBuild], Checkout]) -> None:
        self.project, self.root, self.registry, self.checkout = project, root, registry, checkout
        self.given = ProjectVariables(project, root)
        self.rest = rest(project)
        self.placement = project.placement
        self.losses = dict.fromkeys(project.placement.losses if project.placement else ())
        self.allow: dict[str, list[str]] = {}

    def result(self) -> Converted:
        """All files."""
        found = images(self.project)
        if not found:
            raise UsageError(
                "the compose file builds no image",
                hint="relman deploys what is built and tested here: `build: .` names what that is",
            )
        for name in _OVERRIDES:
            if (Path(self.root) / name).exists():
                self.lose(name, "it is not read; what it says for development is not missed")
        files, networks = dict[str, str](), dict[str, None]()
        for image in found:
            tree, needs = accepted(self.relman_tree(image), image.file, self.root, self.given.variables, self.lose)
            self.allow |= {image.name: needs} if needs else {}
            files[image.file] = _HEAD.format("Kamal's" if self.placement else "a compose") + yaml_text(tree)
            deploy = tree["deploy"]
            networks |= {
                n: None for part in (deploy, *deploy.get("processes", {}).values()) for n in part.get("networks", ())
            }
        for service in self.project.services.values():
            if service.profiles and service.name not in self.rest:
                self.lose(service.name, f"it runs with the profile {', '.join(service.profiles)} only")
        files[INVENTORY] = _INVENTORY_HEAD + yaml_text(self.inventory(found))
        if self.rest:
            files[REST] = _REST_HEAD + yaml_text(rest_tree(self.project, self.rest))
        known = self.project.written.get("networks") or {}
        used = {key for name in self.rest for key in self.project.services[name].networks}
        made = {self.project.networks.get(key, key) for key in used if not (known.get(key) or {}).get("external")}
        others = tuple(n for n in networks if n not in {*made, "host", "none"})
        return Converted(files, tuple(self.losses), others, bool(self.rest))

    def lose(self, where: str, why: str) -> None:
        """Note what cannot be said."""
        self.losses[f"{where}: {why}"] = None

    def lost(self, service: ComposeService) -> Lost:
        """Notes what cannot be said of a service."""
        return lambda key, why: self.lose(f"{service.name}.{key}", why)

    @contextmanager
    def reading(self, service: ComposeService) -> Iterator[None]:
        """Raises ConfigError, with the service's place, for a value that has not the form of its key."""
        try:
            yield
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            words = str(error) if isinstance(error, ValueError) else "a value has not the form that compose expects"
            raise ConfigError([self.project.problem(("services", service.name), words)]) from None

    def relman_tree(self, image: BuiltImage) -> dict[str, Any]:
        """The content of one relman.yml."""
        seen = self.checkout(image.build)
        for other in image.build.others:
            self.lose(f"{image.processes[0].name}.build.{other}", "relman has no key for it")
        kept = tuple((name, value) for name, value in image.build.args if not is_secret(name))
        for name in {name for name, _ in image.build.args} - {name for name, _ in kept}:
            self.lose(f"{image.processes[0].name}.build.args.{name}", "an image shows its arguments: see build.secrets")
        build = _build(replace(image.build, args=kept))
        return {
            "service": image.name,
            "registry": self.registry,
            **self.repository(image),
            **({"build": build} if build else {}),
            "test": self.test(image, seen),
            "release": {"tag": "{build}", "channels": ["stable"]},
            "deploy": {**self.deploy(image, seen), **(self.placement.deploy if self.placement else {})},
        }

    def repository(self, image: BuiltImage) -> dict[str, str]:
        """The path in the registry, where it is not the service's name."""
        path = self.placement.repository if self.placement else image.name
        return {"repository": path} if path != image.name else {}

    def test(self, image: BuiltImage, seen: Checkout) -> dict[str, Any]:
        """The test section: databases begin empty, and passwords are `test`."""
        if not seen.tests:
            self.lose(
                f"{image.file}, test.commands", "no tests were found: nothing is released untested, so name yours"
            )
        beside = test_services(self.project, image.services, self.rest)
        known = [service.name for service in beside]
        services = {}
        for service in beside:
            with self.reading(service):
                services[service.name] = linked(service, known, self.given)
        env = self.given.in_tests(image.processes[0])
        return {
            **({"services": services} if services else {}),
            **({"env": env} if env else {}),
            **({"entrypoint": []} if seen.swallows else {}),
            "commands": [list(seen.tests)] if seen.tests else [],
        }

    def deploy(self, image: BuiltImage, seen: Checkout) -> dict[str, Any]:
        """The deploy section: one container, or several processes with what they share above them."""
        keys = {process_name(s): self.container(s, seen) for s in image.processes}
        tasks = [self.task(service) for service in image.tasks]
        above = {"tasks": tasks} if tasks else {}
        if len(keys) == 1 and "replicas" not in (alone := next(iter(keys.values()))):
            return {**alone, **above}
        shared = shared_keys(list(keys.values()))
        return {**shared, **above, "processes": {name: own_keys(each, shared) for name, each in keys.items()}}

    def container(self, service: ComposeService, seen: Checkout) -> dict[str, Any]:
        """All keys of one container."""
        lost = self.lost(service)
        service, files = without_files(self.without_secrets(service), self.root, lost)
        with self.reading(service):
            found = container_keys(self.project, service, lost, image_health=seen.healthcheck)
            return {**self.given.keys(service, lost), **found, **({"files": files} if files else {})}

    def without_secrets(self, service: ComposeService) -> ComposeService:
        """The service without the keys that a secret is written into."""
        written = self.project.written["services"][service.name]
        found = {key: name for key in service.keys if (name := secret_in(written.get(key)))}
        for key, name in found.items():
            self.lose(f"{service.name}.{key}", f"the secret {name} is in it: let the program read a variable or a file")
        return replace(service, keys={key: value for key, value in service.keys.items() if key not in found})

    def task(self, service: ComposeService) -> dict[str, Any]:
        """A service that others wait to end."""
        self.lose(service.name, "it became a task, with the variables, volumes and networks of the first process")
        service = self.without_secrets(service)
        with self.reading(service):
            found = container_keys(self.project, service, lambda *_: None, image_health=False)
        command = found.get("command", [])
        return {"name": process_name(service), "command": [*found.get("entrypoint", []), *command]}

    def inventory(self, found: list[BuiltImage]) -> dict[str, Any]:
        """An environment, with one host to begin with where it is not known which."""
        variables: dict[str, Any] = {
            **(self.placement.variables if self.placement else {"ansible_user": "deploy"}),
            "relman_services": {
                image.name: f"{self.registry}/{self.repository(image).get('repository', image.name)}" for image in found
            },
            "relman_secrets": {name: _from_inventory(s) for name, s in sorted(self.given.sources.items())},
            "relman_allow": self.allow,
            **self.given.variables,
        }
        kept = {name: value for name, value in variables.items() if value != {}}
        return {"production": {"vars": kept, "hosts": self.hosts(found[0])}}

    def hosts(self, image: BuiltImage) -> dict[str, Any]:
        """The hosts, with the processes of those that do not run all."""
        if not self.placement:
            return {"host1.example.com": None}
        every = {process_name(service) for service in image.processes}
        own = {h: [process_name(self.project.services[n]) for n in names] for h, names in self.placement.hosts.items()}
        return {h: {"relman_processes": {image.name: n}} if {*n} != every else None for h, n in own.items()}


def _from_inventory(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The source with its path relative to the inventory's directory."""
    return {k: posixpath.normpath(f"../{v}") if k == "file" and v[0] not in "/~" else v for k, v in source.items()}


def _build(build: ImageBuild) -> dict[str, Any]:
    said = {
        "context": build.context,
        "dockerfile": build.dockerfile,
        "target": build.target,
        "platform": build.platform,
    }
    usual = {"context": ".", "dockerfile": "Dockerfile"}
    found: dict[str, Any] = {key: value for key, value in said.items() if value and value != usual.get(key)}
    found |= {"secrets": {name: {"env": name} for name in build.secrets}} if build.secrets else {}
    return found | ({"args": dict(build.args)} if build.args else {})


_HEAD = """\
# Written from {} file. docs/reference/ of relman explains every key, `relman check` reads it.
"""
_INVENTORY_HEAD = """\
# Where it runs: see that these are your hosts. {variable: NAME} takes a secret from the environment of `relman deploy`;
# vault, age and command are other sources, see relman_secrets in docs/reference/inventories.md of relman.
"""
_REST_HEAD = f"""\
# What relman does not deploy, under the names that it has. On each host that it is to run on:
#   docker compose -f {REST} up -d
"""
