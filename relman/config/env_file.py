"""Files of variables (deploy.env_file): read when the deploy section is frozen, so that they travel with the image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    processes: Mapping[str, Any] = service.deploy.get("processes", {})
    sections = [(("deploy",), service.deploy), *((("deploy", "processes", n), p) for n, p in processes.items())]
    for path, section in sections:
        for number, file in enumerate(_files(section.get("env_file", []))):
            if fault := _fault(Path(service.root), file):
                yield (*path, "env_file", number), fault


def read_env_file(root: str, file: str) -> dict[str, str]:
    """The variables of a file below `root`, the last one of a name counts. Raises ConfigError."""
    if fault := _fault(Path(root), file):
        raise ConfigError([Problem(file, 0, 0, "", fault)])
    text = (Path(root) / file).read_bytes().decode(errors="replace").removeprefix("\ufeff")
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


def _fault(root: Path, file: str) -> str:
    """Why a file is not read; "" if it may be."""
    steps = [root.joinpath(*Path(file).parts[: n + 1]) for n in range(len(Path(file).parts))]
    if Path(file).is_absolute() or {"..", ".git"} & set(Path(file).parts):
        return f"expected a path below the directory of relman.yml, and not in .git, found {file}"
    if any(step.is_symlink() for step in steps):
        return f"{file} is a link, or below one: what is read must be in the repository itself"
    if not steps[-1].is_file():
        return f"there is no file {file}"
    return f"{file} is larger than {_LARGEST >> 10} KiB" if steps[-1].stat().st_size > _LARGEST else ""


def _value(entry: re.Match[str]) -> str:
    if entry["double"] is not None:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), entry["double"], flags=re.DOTALL)
    return entry["bare"] if entry["single"] is None else entry["single"]


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
