"""Load inventories from files, with the variables beside them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relman.config import yaml
from relman.config.inventory import ini
from relman.config.inventory.environments import Inventory
from relman.config.inventory.files import YAML_SUFFIXES, Form, InventoryFile, sources, variable_files
from relman.config.inventory.host import misspelt
from relman.config.inventory.programs import ask
from relman.config.inventory.tree import Tree, Variables
from relman.config.inventory.vault import HEADER, Vault
from relman.config.yaml_document import Document
from relman.model.errors import ConfigError, UsageError

# A file in a directory with another suffix may not be meant as an inventory.
_INI_SUFFIXES = ("", ".ini", *YAML_SUFFIXES)


@dataclass(frozen=True)
class Reading:
    """How inventories are read: the vault passwords, and whether programs may be run for them, with which
    environment."""

    vault: Vault = field(default_factory=lambda: Vault({}))
    run: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


def load_inventory(paths: Sequence[Path | str], reading: Reading | None = None) -> Inventory:
    """Load inventory files and directories, with the group_vars/ and host_vars/ beside each path.

    Later values override earlier ones, as in Ansible. Raises UsageError for what cannot be read, ConfigError with all
    problems.
    """
    found = _Loading(reading or Reading())
    for path in map(Path, paths):
        found.add(path)
    if not found.files:
        raise UsageError(
            f"there is no inventory in {', '.join(map(str, paths))}" if paths else "no inventory was given",
            hint="Name a YAML or INI file, or a directory that holds some",
        )
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in map(Path, paths)):
        found.add_variables(folder)
    tree = found.tree
    for key, variable in tree.all_variables():
        if advice := misspelt(key):
            tree.problems.append(variable.problem(advice, on_key=True))
    if tree.problems:
        raise ConfigError(list(dict.fromkeys(tree.problems)))
    return Inventory(tuple(map(str, found.files)), tree, tuple(found.skipped), tuple(found.left_out), found.vault)


class _Loading:
    """An inventory while it is loaded."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.vault = reading.vault
        self.tree = Tree()
        self.files: list[Path] = []
        self.skipped: list[str] = []
        self.left_out: list[str] = []

    def add(self, path: Path) -> None:
        """Read the inventory files of a path."""
        for source in sources(path, self.left_out):
            try:
                document = self._document(source)
            except ConfigError as error:
                self.files.append(source.path)
                self.tree.problems += error.problems
                continue
            if document.faults and source.found and source.path.suffix not in _INI_SUFFIXES:
                self.left_out.append(f"{source.path}: it is not an inventory: {document.problems[0]}")
            else:
                self.files.append(source.path)
                self.tree.add(document)

    def _document(self, source: InventoryFile) -> Document:
        if source.form is Form.YAML:
            return yaml.parse(source.data, str(source.path), lenient=True)
        if source.form is Form.INI:
            return ini.parse(source.data, str(source.path))
        if self._reading.run:
            return ask(source, self._reading.environ)
        raise UsageError(
            f"{source.path} is {source.form}: relman reads YAML and INI, and runs nothing by itself",
            hint=f"convert it: ansible-inventory -i {shlex.quote(str(source.path))} --list --yaml --export "
            "> hosts.yml; or pass --run-inventory with -i",
        )

    def add_variables(self, folder: Path) -> None:
        """Read group_vars/ and host_vars/ of a directory."""
        for name, group in self.tree.groups.items():
            group.file_vars |= self._variables(folder / "group_vars", name)
        for name, host in self.tree.hosts.items():
            host.file_vars |= self._variables(folder / "host_vars", name)

    def _variables(self, folder: Path, name: str) -> Variables:
        found: Variables = {}
        for file in variable_files(folder, name):
            try:
                document = yaml.read(file, lenient=True)
                if isinstance(document.tree, str) and document.tree.startswith(HEADER):
                    document = self._opened(file)
                found |= self.tree.add_vars(document)
            except _Sealed:
                self.skipped.append(str(file))
            except yaml.EmptyFile:
                continue
            except ConfigError as error:
                self.tree.problems += error.problems
        return found

    def _opened(self, file: Path) -> Document:
        """Decrypt a file that is encrypted as a whole. Raises _Sealed if no password fits."""
        try:
            text = self.vault.decrypt(file.read_text())
        except ValueError as error:
            raise _Sealed from error
        return replace(yaml.parse(text.encode(), str(file), lenient=True), sealed=True)


class _Sealed(Exception):
    """A file of ansible-vault for which no password fits."""
