"""Find the files of an inventory, and the format of each, as ansible-core does.

Documentation: https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html (Organizing inventory in a
directory; Organizing host and group variables).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import yaml

from relman.model.errors import UsageError

YAML_SUFFIXES = (".yml", ".yaml", ".json")
# The default of INVENTORY_IGNORE_EXTS in ansible-core 2.19, and the directories that are never inventories.
_IGNORED_ENDS = (
    *(".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst"),
    *(".orig", ".cfg", ".retry"),
)
_NEVER = ("host_vars", "group_vars", "vars_plugins")
_PLUGIN = re.compile(rb"^plugin\s*:", re.MULTILINE)


class Form(StrEnum):
    """The format of an inventory file, as messages call it."""

    YAML = "YAML"
    INI = "INI"
    SCRIPT = "a script"
    PLUGIN = "the configuration of an inventory plugin"
    TOML = "TOML"


READABLE = (Form.YAML, Form.INI)


@dataclass(frozen=True)
class InventoryFile:
    """One inventory file, read. `found` is whether it was found in a directory instead of being named."""

    path: Path
    data: bytes
    form: Form
    found: bool = False


def sources(path: Path, left_out: list[str]) -> Iterator[InventoryFile]:
    """Yield the inventory files of a path: the file, or the files of a directory tree in Ansible's order.

    Other files of a directory are appended to `left_out`. Raises UsageError for a file that cannot be read.
    """
    if not path.is_dir():
        yield _source(path)
        return
    for file in _found(path, left_out):
        yield replace(_source(file), found=True)


def _found(folder: Path, left_out: list[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda p: os.fsencode(p.name)):
        if path.name.startswith(".") or path.name in _NEVER:
            continue
        if path.name.endswith(_IGNORED_ENDS):
            left_out.append(f"{path}: Ansible takes no inventory from files that end so")
        elif path.is_dir():
            yield from _found(path, left_out)
        elif path.is_file():
            yield path


def _source(path: Path) -> InventoryFile:
    try:
        data = path.read_bytes()
        runs = os.access(path, os.X_OK) or data.startswith(b"#!")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="Check the path and its permissions") from error
    return InventoryFile(path, data, _form(path, data, runs))


def _form(path: Path, data: bytes, runs: bool) -> Form:
    if path.suffix in YAML_SUFFIXES:
        return Form.PLUGIN if _PLUGIN.search(data) else Form.YAML
    if path.suffix == ".toml":
        return Form.TOML
    if runs and data.startswith(b"#!"):
        return Form.SCRIPT
    if path.suffix == "" and _is_mapping(data):
        return Form.PLUGIN if _PLUGIN.search(data) else Form.YAML
    return Form.INI


def _is_mapping(data: bytes) -> bool:
    """Whether a file without a suffix is YAML: Ansible tries YAML first, and INI if that is not a mapping."""
    try:
        return isinstance(yaml.compose(data.decode("utf-8-sig"), yaml.SafeLoader), yaml.MappingNode)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return False


def variable_files(folder: Path, name: str) -> list[Path]:
    """The files of group_vars/NAME or host_vars/NAME: a directory of that name, or else one file, as in Ansible."""
    for path in (folder / name, *(folder / f"{name}{suffix}" for suffix in (".yml", ".yaml", ".json"))):
        if path.is_dir():
            return list(_below(path))
        if path.is_file():
            return [path]
    return []


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda p: os.fsencode(p.name)):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _below(path)
        elif path.is_file() and path.suffix in ("", *YAML_SUFFIXES):
            yield path
