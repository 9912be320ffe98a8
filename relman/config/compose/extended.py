"""Services that extend others (the key `extends`), merged as the Compose Specification says
(https://github.com/compose-spec/compose-spec/blob/main/13-merge.md)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relman.config import yaml
from relman.config.compose import forms
from relman.config.compose.variables import Lookup, fill
from relman.config.yaml_document import Document
from relman.model.errors import ConfigError

_BRACED = re.compile(r"\$\{[^}]*\}")
_REPLACED = ("command", "entrypoint")
_PAIRS = ("environment", "labels", "sysctls", "extra_hosts", "args")
_TARGETS = ("volumes", "devices")


class Services:
    """The services of a compose file, as written but for what they extend."""

    def __init__(self, document: Document, path: Path, lookup: Lookup) -> None:
        self.document, self.path, self.lookup = document, path, lookup

    def all(self) -> dict[str, dict[str, Any]]:
        """Every service by its name. Raises ConfigError."""
        return {str(name): self.merged(str(name), ()) for name in self.document.tree["services"]}

    def merged(self, name: str, above: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        """One service over those that it extends. Raises ConfigError."""
        path = ("services", name)
        own = self.document.tree["services"].get(name)
        if not isinstance(own, dict):
            raise ConfigError([self.document.problem(path, f"expected a service {name} with its keys")])
        if not (extends := own.get("extends")):
            return own
        here = (str(self.path), name)
        if here in above:
            raise ConfigError([self.document.problem((*path, "extends"), "the service extends itself")])
        options = extends if isinstance(extends, Mapping) else {"service": extends}
        try:
            base = self.base(options.get("file"), fill(str(options.get("service", "")), self.lookup), (*above, here))
        except ValueError as error:
            raise ConfigError([self.document.problem((*path, "extends"), str(error))]) from None
        return merge(
            {k: v for k, v in base.items() if k != "depends_on"}, {k: v for k, v in own.items() if k != "extends"}
        )

    def base(self, file: Any, service: str, above: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        """The service that is extended, of this file or of another one, whose relative paths count from there."""
        if not file:
            return self.merged(service, above)
        other = self.path.parent / fill(str(file), self.lookup)
        document = yaml.read(other, lenient=True)
        if not isinstance(document.tree, dict) or not isinstance(document.tree.get("services"), dict):
            raise ConfigError([document.problem(("services",), "expected services")])
        found = Services(document, other, self.lookup).merged(service, above)
        folder = Path(fill(str(file), self.lookup)).parent
        return found if folder == Path() else _moved(found, folder)


def merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One service's keys over another's."""
    return {**base, **{key: _merged(key, base[key], value) if key in base else value for key, value in own.items()}}


def _merged(key: str, base: Any, own: Any) -> Any:
    if key in _REPLACED or own is None:
        return own
    if key in _PAIRS:
        return {**forms.pairs(base), **forms.pairs(own)}
    if key in ("networks", "depends_on") and not (isinstance(base, list) and isinstance(own, list)):
        return merge(_named(base), _named(own))
    if key in _TARGETS:
        kept = {_target(each): each for each in forms.items(base)}
        return list((kept | {_target(each): each for each in forms.items(own)}).values())
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return merge(base, own)
    if isinstance(base, list) or isinstance(own, list):
        return [*forms.items(base), *(each for each in forms.items(own) if each not in forms.items(base))]
    return own


def _named(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else dict.fromkeys(map(str, forms.items(value)))


def _target(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("target"))
    parts = _BRACED.sub("", str(value)).split(":")  # a variable's default may have colons, too
    return parts[1] if len(parts) > 1 else str(value)


def _moved(service: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The service with its relative paths below `folder`."""
    found = dict(service)
    if (build := service.get("build")) is not None:
        context = build.get("context", ".") if isinstance(build, Mapping) else build
        found["build"] = {**(build if isinstance(build, Mapping) else {}), "context": _below(folder, str(context))}
    if "env_file" in service:
        files = forms.items(service["env_file"])
        found["env_file"] = [
            {**f, "path": _below(folder, str(f["path"]))} if isinstance(f, Mapping) else _below(folder, str(f))
            for f in files
        ]
    found |= {"volumes": [_moved_mount(each, folder) for each in service["volumes"]]} if "volumes" in service else {}
    return found


def _moved_mount(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        source = str(value.get("source", ""))
        return {**value, "source": _below(folder, source)} if value.get("type") == "bind" else value
    source, colon, rest = str(value).partition(":")
    return f"{_below(folder, source)}:{rest}" if colon and source.startswith(".") else value


def _below(folder: Path, path: str) -> str:
    return path if path.startswith(("/", "~", "$")) or "://" in path else f"./{posixpath.normpath(folder / path)}"
