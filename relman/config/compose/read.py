"""Read a compose file by the Compose Specification."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from relman.config import yaml
from relman.config.compose import forms
from relman.config.compose.environment import IN_TESTS
from relman.config.compose.extended import Services
from relman.config.compose.model import ComposeService, Project
from relman.config.compose.variables import Lookup, fill, fill_all
from relman.config.env_file import read_env_file
from relman.config.yaml_document import Document, KeyPath
from relman.model.errors import ConfigError, Problem


def read_project(path: Path, environ: Mapping[str, str], secret: Callable[[str], bool] = lambda _: False) -> Project:
    """Read the file, the .env beside it, and the files of services that it extends. `environ` overrides .env. Variables
    that are `secret` by their names have the value `test`.

    Raises UsageError if a file cannot be read, ConfigError with all problems.
    """
    document = yaml.read(path, lenient=True)
    if isinstance(document.tree, dict) and "include" in document.tree:
        advice = "`docker compose config --no-interpolate` makes one file of all: read that"
        raise ConfigError([document.problem(("include",), f"other files are not read: {advice}")])
    if not isinstance(document.tree, dict) or not isinstance(document.tree.get("services"), dict):
        raise ConfigError([document.problem(("services",), "expected services, as a compose file has them")])
    given = read_env_file(str(path.parent), ".env") if (path.parent / ".env").is_file() else {}
    own = {name: value for name, value in environ.items() if not name.startswith("RELMAN_")}
    return _Reading(document, path, {**given, **own}, secret).project()


class _Reading:
    """Reads all parts, and collects the problems."""

    def __init__(
        self, document: Document, path: Path, variables: Mapping[str, str], secret: Callable[[str], bool]
    ) -> None:
        self.document, self.path = document, path
        self.variables = {name: IN_TESTS if secret(name) else value for name, value in variables.items()}
        self.lookup: Lookup = lambda name: IN_TESTS if secret(name) else variables.get(name)
        self.problems: list[Problem] = []

    def project(self) -> Project:
        """The whole project. Raises ConfigError."""
        merged = Services(self.document, self.path, self.lookup).all()
        name = self.name()
        services = {str(key): self.service(str(key), each) for key, each in merged.items()}
        found = {kind: self.section(kind) for kind in ("volumes", "networks", "secrets", "configs")}
        if self.problems:
            raise ConfigError(self.problems)
        written = {**self.document.tree, "services": merged}
        return Project(
            name,
            {key: each for key, each in services.items() if each},
            _real_names(name, found["volumes"]),
            _real_names(name, {"default": {}, **found["networks"]}),
            found["secrets"],
            self.variables,
            {key: each for key, each in written.items() if not key.startswith("x-")},
            self.document.problem,
        )

    def name(self) -> str:
        """The project's name, as compose finds it."""
        written = self.document.tree.get("name")
        given = fill(str(written), self.lookup) if written else self.lookup("COMPOSE_PROJECT_NAME")
        return re.sub(r"[^a-z0-9_-]", "", (given or self.path.resolve().parent.name).lower()).lstrip("_-") or "project"

    def section(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """A section beside services, filled in."""
        try:
            filled = forms.mapping(fill_all(self.document.tree.get(kind), self.lookup))
            return {str(key): forms.mapping(options) for key, options in filled.items()}
        except ValueError as error:
            self.fault((kind,), error)
            return {}

    def service(self, name: str, written: Mapping[str, Any]) -> ComposeService | None:
        """One service; None if something is wrong in it."""
        before = len(self.problems)
        fields = dict(self.read(name, written))
        if len(self.problems) > before:
            return None
        fields["networks"] = {network: (name, *aliases) for network, aliases in fields["networks"].items()}
        return ComposeService(name, **fields)

    def read(self, name: str, written: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The fields of one service, but for faulty ones."""
        filled: dict[str, Any] = {}
        for key, value in written.items():
            if not key.startswith("x-"):
                try:
                    filled[key] = fill_all(value, self.lookup)
                except ValueError as error:
                    self.fault(("services", name, key), error)
        yield "keys", {key: value for key, value in filled.items() if key not in _OWN}
        for field, key, read in _READ:
            try:
                yield field, read(written if key == "environment" else filled, key, self.lookup)
            except KeyError as error:
                self.fault(("services", name, key), ValueError(f"the key {error.args[0]} is missing"))
            except (ValueError, AttributeError, TypeError) as error:
                self.fault(("services", name, key), error)

    def fault(self, path: KeyPath, error: Exception) -> None:
        """Note a problem."""
        words = str(error) if isinstance(error, ValueError) else "the value has not the form that compose expects"
        self.problems.append(self.document.problem(path, words))


def _built(tree: Mapping[str, Any], key: str, lookup: Lookup) -> Any:
    if tree.get(key) is None:
        return None
    written = tree[key]
    args = forms.pairs(written.get("args")) if isinstance(written, Mapping) else {}
    known = {name: lookup(name) if value is None else value for name, value in args.items()}
    return forms.build({**written, "args": known} if args else written)


_READ = (
    ("image", "image", lambda tree, key, _: forms.text(tree.get(key) or "")),
    ("build", "build", _built),
    ("environment", "environment", lambda tree, key, _: forms.pairs(tree.get(key))),
    ("env_files", "env_file", lambda tree, key, _: tuple(forms.env_files(tree.get(key)))),
    ("ports", "ports", lambda tree, key, _: tuple(map(forms.port, forms.items(tree.get(key))))),
    ("mounts", "volumes", lambda tree, key, _: tuple(map(forms.mount, forms.items(tree.get(key))))),
    ("networks", "networks", lambda tree, key, _: forms.networks(tree.get(key))),
    ("depends_on", "depends_on", lambda tree, key, _: forms.depends_on(tree.get(key))),
    ("secrets", "secrets", lambda tree, key, _: tuple(map(forms.secret, forms.items(tree.get(key))))),
    ("profiles", "profiles", lambda tree, key, _: tuple(map(forms.text, forms.items(tree.get(key))))),
)
_OWN = {"extends", *(key for _, key, _ in _READ)}


def _real_names(project: str, section: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The engine's names: a name of its own, an external one as it is, else with the project before it."""
    return {key: _real_name(project, key, options) for key, options in section.items()}


def _real_name(project: str, key: str, options: Mapping[str, Any]) -> str:
    external = options.get("external")
    old_form = external.get("name") if isinstance(external, Mapping) else None
    return str(options.get("name") or old_form or (key if external else f"{project}_{key}"))
