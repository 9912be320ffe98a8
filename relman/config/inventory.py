"""Inventories in Ansible's YAML form: every group of hosts is an environment."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relman.config import values_names, yaml
from relman.config.document import Document
from relman.config.inventory_host import ReadHost, misspelt, read_host
from relman.config.inventory_tree import ALL, SERVICES, UNGROUPED, Tree, Variables
from relman.config.ssh import SshConfig
from relman.config.words import nearest
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.host import Environment, Hop, SshOptions

_VAULT = "$ANSIBLE_VAULT;"
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Inventory:
    """What the inventory files say. `skipped` are files encrypted by ansible-vault: relman does without them."""

    files: tuple[str, ...]
    tree: Tree
    skipped: tuple[str, ...] = ()

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of the groups that have hosts."""
        return tuple(name for name in self.tree.groups if self.tree.members(name))

    @property
    def deployable(self) -> tuple[str, ...]:
        """The environments that say which services they run (relman_services), themselves or through the whole
        inventory; a group inside of one is not counted."""
        groups = [name for name in self.environments if name not in (ALL, UNGROUPED)]
        own = [name for name in groups if self.tree.groups[name].has(SERVICES)]
        if own or not self.tree.groups[ALL].has(SERVICES):
            return tuple(own)
        inner = {child for name in groups for child in self.tree.groups[name].children}
        return tuple(name for name in groups if name not in inner)

    def environment(
        self, name: str, *, ssh_config: Path | str | None = None, known_hosts: Sequence[Path | str] = ()
    ) -> Environment:
        """The environment of this name, each host with the way to it.

        `ssh_config` is read instead of the user's own; `known_hosts` replace the user's, the machine's and those that
        ssh_config names. Raises UsageError for an unknown environment, ConfigError with every problem of its hosts.
        """
        self._check_name(name)
        ssh = SshConfig(ssh_config)
        read: list[ReadHost] = []
        problems: dict[Problem, None] = {}
        for host in self.tree.members(name):
            try:
                read.append(read_host(host, self.tree.layers(host, name), ssh))
            except ConfigError as error:
                problems |= dict.fromkeys(error.problems)
        if problems:
            raise ConfigError(list(problems))
        self._check_agreement(name, read)
        files = _given(known_hosts) or _defaults(ssh.home) + [f for r in read for f in r.known_hosts]
        return Environment(
            name=name,
            hosts=tuple(r.host for r in read),
            services=read[0].services,
            registry_ca=read[0].registry_ca,
            demands=read[0].demands,
            ssh=SshOptions(known_hosts=tuple(dict.fromkeys(files))),
            local_commands=read[0].local_commands,
        )

    def _check_name(self, name: str) -> None:
        known = [e for e in self.environments if e != UNGROUPED]
        if name not in known:
            near = nearest(name, known) or next((e for e in known if e.startswith(name)), None)
            raise UsageError(
                f"there is no environment {name!r} in {', '.join(self.files)}"
                + (f"; did you mean {near}?" if near else ""),
                hint=f"Environments: {', '.join(known) or 'none: no group has a host'}",
            )
        try:
            values_names.service_name(name)
        except ValueError:
            raise UsageError(
                f"{name!r} cannot be an environment: its name becomes part of image names on its hosts",
                hint="Name the group in lower case: a-z, 0-9 and - _ . between them",
            ) from None

    def _check_agreement(self, environment: str, read: Sequence[ReadHost]) -> None:
        """What is said of the whole environment must be the same on all its hosts."""
        problems: list[Problem] = []
        for other in read[1:]:
            for key, here, there in (
                ("relman_services", read[0].services, other.services),
                ("relman_registry_ca", read[0].registry_ca, other.registry_ca),
                ("relman_local_commands", read[0].local_commands, other.local_commands),
                ("relman_trust", read[0].demands.trust, other.demands.trust),
                ("relman_policy", read[0].demands.policy, other.demands.policy),
            ):
                if here != there:
                    problems.append(self._disagreement(environment, key, read[0].host.name, other.host.name))
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))

    def _disagreement(self, environment: str, key: str, one: str, other: str) -> Problem:
        variable = self.tree.variables(other, environment).get(key) or self.tree.variables(one, environment)[key]
        return variable.problem(f"{one} and {other} differ in it: give it to the whole environment", on_key=True)


def load_inventory(paths: Sequence[Path | str]) -> Inventory:
    """Read inventory files, and every *.yml and *.yaml of directories, with the group_vars/ and host_vars/ beside.

    What comes later wins, as in Ansible. Raises UsageError for what cannot be read, ConfigError with every problem.
    """
    files = [file for path in paths for file in _files(Path(path))]
    if not files:
        raise UsageError(
            f"there is no inventory in {', '.join(map(str, paths))}" if paths else "no inventory was given",
            hint="Name a YAML file, or a directory that holds some",
        )
    tree, skipped = Tree(), list[str]()
    for document in _documents(files, tree.problems, skipped):
        tree.add(document)
    for folder in dict.fromkeys(file.parent for file in files):
        for name, group in tree.groups.items():
            group.file_vars |= _folder_vars(tree, folder / "group_vars" / name, skipped)
        for name, host in tree.hosts.items():
            host.file_vars |= _folder_vars(tree, folder / "host_vars" / name, skipped)
    for key, variable in tree.all_variables():
        if advice := misspelt(key):
            tree.problems.append(variable.problem(advice, on_key=True))
    if tree.problems:
        raise ConfigError(list(dict.fromkeys(tree.problems)))
    return Inventory(tuple(map(str, files)), tree, tuple(skipped))


def describe_inventory(inventory: Inventory) -> dict[str, Any]:
    """What was understood, as plain data: files, environments and hosts, with the names of variables, not values."""
    tree = inventory.tree
    return {
        "files": list(inventory.files),
        "skipped": list(inventory.skipped),
        "environments": {name: tree.members(name) for name in inventory.environments},
        "hosts": {
            name: {"groups": tree.groups_of(name), "variables": sorted(tree.variables(name))} for name in tree.hosts
        },
    }


def describe_environment(environment: Environment) -> dict[str, Any]:
    """One environment as plain data: how each host is reached, and the names of its variables, not their values."""
    return {
        "name": environment.name,
        "services": {name: str(repository) for name, repository in environment.services.items()},
        "registry_ca": environment.registry_ca,
        "local_commands": environment.local_commands,
        "trust": environment.demands.trust,
        "policy": json.loads(environment.demands.policy.source) if environment.demands.policy.rule else None,
        "known_hosts": list(environment.ssh.known_hosts),
        "hosts": [
            {
                "name": host.name,
                "endpoint": _hop(host.endpoint),
                "jumps": [_hop(jump) for jump in host.jumps],
                "identity_files": list(host.endpoint.identity_files),
                "variables": sorted(host.variables),
                "env": sorted(host.env),
                "state_dir": host.state_dir,
                "docker_socket": host.docker_socket,
                "docker_command": shlex.join(host.docker_command),
            }
            for host in environment.hosts
        ],
    }


def _hop(hop: Hop) -> str:
    address = f"[{hop.address}]" if ":" in hop.address else hop.address
    return f"{hop.user}@{address}:{hop.port}"


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES and f.is_file())


def _documents(
    files: Iterable[Path], problems: list[Problem], skipped: list[str], *, empty_is_fine: bool = False
) -> Iterator[Document]:
    """Every file that can be read; the others become problems, and those of ansible-vault are skipped."""
    for file in files:
        try:
            document = yaml.read(file)
        except ConfigError as error:
            if not (empty_is_fine and isinstance(error, yaml.EmptyFile)):
                problems += error.problems
            continue
        if isinstance(document.tree, str) and document.tree.startswith(_VAULT):
            skipped.append(str(file))
        else:
            yield document


def _folder_vars(tree: Tree, path: Path, skipped: list[str]) -> Variables:
    """The variables of group_vars/NAME: a file of that name with or without suffix, or the files in a directory."""
    files = [f for f in (path, *(path.with_name(path.name + s) for s in _SUFFIXES)) if f.is_file()]
    if path.is_dir():
        files += sorted(f for f in path.rglob("*") if f.suffix in (*_SUFFIXES, "") and f.is_file())
    found: Variables = {}
    for document in _documents(files, tree.problems, skipped, empty_is_fine=True):
        tree.problems += document.problems
        found |= tree.read_vars(document, (), document.tree)
    return found


def _given(files: Sequence[Path | str]) -> list[str]:
    if missing := [str(f) for f in files if not Path(f).is_file()]:
        raise UsageError(f"there is no known_hosts file {', '.join(missing)}", hint="Check the path")
    return [str(f) for f in files]


def _defaults(home: Path) -> list[str]:
    return [str(f) for f in (home / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts")) if f.is_file()]
