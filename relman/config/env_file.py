"""Files of variables (deploy.env_file): read when the deploy section is frozen, so that they travel with the image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from relman.config import repository_file
from relman.config.yaml_document import KeyPath
from relman.model.errors import ConfigError, Problem
from relman.model.service import Service

_LARGEST = 64 << 10
# The Compose Specification, "env_file format": https://github.com/compose-spec/compose-spec/blob/main/05-services.md
_ENTRY = re.compile(
    r"""(?:export[^\S\n]+)?(?P<name>[^\s=#'"]+)[^\S\n]*=[^\S\n]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s'"\#][^\n]*?|))
    (?:[^\S\n]+\#[^\n]*)?[^\S\n]*(?:\r?\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_SKIPPED = re.compile(r"(?:\s|\#[^\n]*(?:\n|\Z))*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def deploy_section(service: Service) -> Mapping[str, Any]:
    """The deploy section with the variables of its files under `env`, which overrides them. Raises ConfigError."""
    section = _with_files(service, service.deploy)
    if processes := section.get("processes"):
        section["processes"] = {name: _with_files(service, process) for name, process in processes.items()}
    return section


def _with_files(service: Service, written: Mapping[str, Any]) -> dict[str, Any]:
    section, found = dict(written), dict[str, str]()
    for file in _files(section.pop("env_file", [])):
        found |= read_env_file(service.root, file)
    return {**section, "env": {**found, **section.get("env", {})}} if found else section


def missing_files(service: Service) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the files themselves, each with the path of its key."""
    for path, section in repository_file.sections(service):
        for number, file in enumerate(_files(section.get("env_file", []))):
            if fault := repository_file.fault(service.root, file, _LARGEST):
                yield (*path, "env_file", number), fault


def read_env_file(root: str, file: str) -> dict[str, str]:
    """The variables of a file below `root`, the last one of a name counts. Raises ConfigError."""
    text = repository_file.read(root, file, _LARGEST).decode(errors="replace").removeprefix("\ufeff")
    found: dict[str, str] = {}
    at = _end(_SKIPPED.match(text))
    while at < len(text):
        entry = _ENTRY.match(text, at)
        if not entry:
            raise ConfigError([Problem(file, text.count("\n", 0, at) + 1, 1, "", "expected NAME=VALUE")])
        found[entry["name"]] = _value(entry)
        at = _end(_SKIPPED.match(text, entry.end()))
    return found


def _files(written: str | list[str]) -> list[str]:
    return [written] if isinstance(written, str) else written


def _value(entry: re.Match[str]) -> str:
    if entry["double"] is not None:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), entry["double"], flags=re.DOTALL)
    return entry["bare"] if entry["single"] is None else entry["single"]


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
