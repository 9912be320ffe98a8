"""Ansible inventories: groups of hosts. A group that sets relman_services is an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relman.config.inventory.host import ReadHost, read_host
from relman.config.inventory.tree import ALL, SERVICES, UNGROUPED, Tree
from relman.config.inventory.vault import Vault
from relman.config.schema import values_names
from relman.config.ssh.host import SshConfig
from relman.config.suggestions import nearest
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.host import Environment, SshOptions


@dataclass(frozen=True)
class Inventory:
    """The content of the inventory files. `skipped` are files encrypted by ansible-vault for which no password was
    given; `left_out` are files in inventory directories that are not inventories, with the reason."""

    files: tuple[str, ...]
    tree: Tree
    skipped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    vault: Vault = field(default_factory=lambda: Vault({}))

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that contain hosts."""
        return tuple(name for name in self.tree.groups if self.tree.members(name))

    @property
    def environments(self) -> tuple[str, ...]:
        """The groups whose own variables set relman_services; if none does, each group directly below `all`."""
        groups = [name for name in self.groups if name not in (ALL, UNGROUPED)]
        own = [name for name in groups if self.tree.groups[name].has(SERVICES)]
        if own:
            return tuple(own)
        inner = {child for name in groups for child in self.tree.groups[name].children}
        return tuple(name for name in groups if name not in inner)

    @property
    def deployable(self) -> tuple[str, ...]:
        """The environments that have services."""
        said = [g for g in (ALL, *self.environments) if self.tree.groups[g].has(SERVICES)]
        return self.environments if said else ()

    def environment(
        self, name: str, *, ssh_config: Path | str | None = None, known_hosts: Sequence[Path | str] = ()
    ) -> Environment:
        """The environment of this name, with the route to each of its hosts.

        `ssh_config` replaces the user's own; `known_hosts` replace the user's, the machine's and those named in
        ssh_config. Raises UsageError for an unknown environment, ConfigError with all problems of its hosts.
        """
        self._check_name(name)
        ssh = SshConfig(ssh_config)
        read: list[ReadHost] = []
        problems: dict[Problem, None] = {}
        for host in self.tree.members(name):
            try:
                read.append(read_host(host, self.tree.layers(host, name), ssh, self.vault))
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
            insecure_registries=read[0].insecure_registries,
            demands=read[0].demands,
            ssh=SshOptions(known_hosts=tuple(dict.fromkeys(files))),
            local_commands=read[0].local_commands,
            groups=self._groups_within(name),
        )

    def _groups_within(self, environment: str) -> dict[str, tuple[str, ...]]:
        """The groups with hosts in the environment, each with those hosts."""
        members = set(self.tree.members(environment))
        found = {name: tuple(h for h in self.tree.members(name) if h in members) for name in self.groups}
        return {name: hosts for name, hosts in found.items() if hosts}

    def _check_name(self, name: str) -> None:
        known = self.environments
        if name not in known:
            self._check_group(name)
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

    def _check_group(self, name: str) -> None:
        """Raise UsageError if the name is that of a group which is not an environment."""
        if name not in self.groups:
            return
        around = [e for e in self.environments if set(self.tree.members(name)) <= set(self.tree.members(e))]
        if around and name != ALL:
            raise UsageError(
                f"{name} is part of {around[0]}, not an environment",
                hint=f"-e {around[0]} --only {name}",
            )
        raise UsageError(
            f"{name} is a group, not an environment: its variables have no {SERVICES}",
            hint=f"Environments: {', '.join(self.environments) or 'none'}",
        )

    def _check_agreement(self, environment: str, read: Sequence[ReadHost]) -> None:
        """Raise ConfigError unless settings of the whole environment are the same on all its hosts."""
        problems: list[Problem] = []
        for other in read[1:]:
            for key, here, there in (
                ("relman_services", read[0].services, other.services),
                ("relman_registry_ca", read[0].registry_ca, other.registry_ca),
                ("relman_insecure_registries", read[0].insecure_registries, other.insecure_registries),
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


def _given(files: Sequence[Path | str]) -> list[str]:
    if missing := [str(f) for f in files if not Path(f).is_file()]:
        raise UsageError(f"there is no known_hosts file {', '.join(missing)}", hint="Check the path")
    return [str(f) for f in files]


def _defaults(home: Path) -> list[str]:
    return [str(f) for f in (home / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts")) if f.is_file()]
