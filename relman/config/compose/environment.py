"""The variables and secrets of compose services: what is plain goes into relman.yml, what is secret is only named
there, and the inventory says where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from relman.config.compose.model import ComposeService, Lost, Project
from relman.config.compose.variables import escaped, fill, in_relman, literal, names
from relman.config.env_file import read_env_file
from relman.model.errors import ConfigError

_SECRET = re.compile(
    r"(?i)(passw(or)?d|(^|_)pass(phrase)?$|secret|token|credential|(^|_)(api|private|access|encryption|signing)_?key|"
    r"_key(_base)?$|(^|_)salt$)"
)
_WITH_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^/@:\s]*:)(?P<password>[^@\s]+)(?=@)", re.IGNORECASE)
IN_TESTS = "test"
"""What tests get for every password."""


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret; NAME_FILE holds a path."""
    return bool(_SECRET.search(name)) and not name.upper().endswith("_FILE")


def secret_in(written: Any) -> str:
    """The first secret variable that is named anywhere in a key as written; "" if none is."""
    if isinstance(written, Mapping):
        return next(filter(None, map(secret_in, written.values())), "")
    if isinstance(written, list):
        return next(filter(None, map(secret_in, written)), "")
    try:
        return next(filter(is_secret, names(written)), "") if isinstance(written, str) else ""
    except ValueError:
        return ""


@dataclass
class ProjectVariables:
    """What the inventory has to say: variables, and the source of each secret with the text that it stands for."""

    project: Project
    root: str
    variables: dict[str, str] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def keys(self, service: ComposeService, lost: Lost) -> dict[str, Any]:
        """`env`, `env_file` and `secrets` of one service."""
        env: dict[str, str] = {}
        secrets: dict[str, Any] = {}
        files: list[str] = []
        written = {**self._from_files(service, files, lost), **service.environment}
        for name, text in written.items():
            if self._is_secret(name, text):
                secrets[self._secret(service, name, text)] = {"env": name}
            else:
                env[name] = self._plain(name, text, lost)
        for use in service.secrets:
            self._declare(use.name, lost)
            at = {"env": use.variable} if use.variable else {"file": use.target}
            secrets[use.name] = {key: value for key, value in at.items() if value}
        found: dict[str, Any] = {"env": env, "env_file": files, "secrets": secrets}
        return {key: value for key, value in found.items() if value}

    def _from_files(self, service: ComposeService, files: list[str], lost: Lost) -> dict[str, str | None]:
        """The variables of files that hold secrets; files without any are added to `files`, and stay files."""
        found: dict[str, str | None] = {}
        for path, required in service.env_files:
            name = path.removeprefix("./")
            try:
                read = read_env_file(self.root, name)
            except ConfigError as error:
                if required:
                    lost(f"env_file ({path})", error.problems[0].message)
                continue
            if not found and not any(self._is_secret(key, literal(value)) for key, value in read.items()):
                files.append(name)
            else:
                found |= escaped(read)
        return found

    def _is_secret(self, name: str, text: str | None) -> bool:
        try:
            used = names(text) if text is not None else {}
            filled = fill(text or "", self.project.variables.get)
        except ValueError:
            used, filled = {}, text or ""
        return is_secret(name) or any(map(is_secret, used)) or bool(_WITH_PASSWORD.search(filled))

    def _secret(self, service: ComposeService, name: str, text: str | None) -> str:
        """The name of a secret for a variable; another one where two services mean different texts by it."""
        stands_for = f"${{{name}}}" if text is None else text
        short = re.sub(r"[^a-z0-9_.-]", "_", name.lower()).lstrip("_.-") or "secret"
        found = short if self._texts.get(short, stands_for) == stands_for else f"{service.name.lower()}_{short}"
        self._texts[found] = stands_for
        self.sources[found] = {"variable": re.sub(r"\W", "_", found).upper()}
        return found

    def _plain(self, name: str, text: str | None, lost: Lost) -> str:
        try:
            said = f"${{{name}}}" if text is None else in_relman(text, self.project.variables.get)
        except ValueError as error:
            lost(f"environment.{name}", f"{error}; the value that it has here was written")
            return literal(fill(text or "", self.project.variables.get))
        for used, default in ({name: None} if text is None else names(text)).items():
            if used in self.project.variables or default is None:
                self.variables[used] = self.project.variables.get(used, "")
        return said

    def _declare(self, name: str, lost: Lost) -> None:
        """Note the source of a secret of the file's own section."""
        options = self.project.secrets.get(name)
        if options is None or options.get("external"):
            lost(f"secrets ({name})", "a swarm has its value: name its source under relman_secrets in the inventory")
            self.sources[name] = {"variable": re.sub(r"\W", "_", name).upper()}
        else:
            kinds = {
                "variable": options.get("environment"),
                "command": options.get("command"),
                "file": options.get("file"),
            }
            kind, value = next(((k, v) for k, v in kinds.items() if v), ("file", None))
            self.sources[name] = {kind: value if kind == "command" else str(value)}

    def in_tests(self, service: ComposeService) -> dict[str, str]:
        """The variables of a service and its files for tests: filled in, with `test` for every password."""
        secret = {use.variable: IN_TESTS for use in service.secrets if use.variable}
        return {name: self._in_tests(name, text) for name, text in self._every(service).items()} | secret

    def _every(self, service: ComposeService) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for path, _ in service.env_files:
            with suppress(ConfigError):
                found |= escaped(read_env_file(self.root, path.removeprefix("./")))
        return {**found, **service.environment}

    def _in_tests(self, name: str, text: str | None) -> str:
        def value(used: str) -> str | None:
            return IN_TESTS if is_secret(used) else self.project.variables.get(used)

        if is_secret(name):
            return IN_TESTS
        try:
            filled = (value(name) or "") if text is None else fill(text, value)
        except ValueError:
            return ""
        return literal(_WITH_PASSWORD.sub(rf"\g<before>{IN_TESTS}", filled))
