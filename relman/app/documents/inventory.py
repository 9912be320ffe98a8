"""Documents of an inventory. They contain the names of variables, never their values."""

from __future__ import annotations

import json
import shlex
from typing import Any

from relman.config.inventory.environments import Inventory
from relman.model.host import Environment, Hop


def inventory_document(inventory: Inventory) -> dict[str, Any]:
    """The files, groups and hosts of an inventory."""
    tree = inventory.tree
    return {
        "files": list(inventory.files),
        "skipped": list(inventory.skipped),
        "left_out": list(inventory.left_out),
        "environments": {name: tree.members(name) for name in inventory.environments},
        "groups": {name: tree.members(name) for name in inventory.groups},
        "hosts": {
            name: {"groups": tree.groups_of(name), "variables": sorted(tree.variables(name))} for name in tree.hosts
        },
    }


def environment_document(environment: Environment) -> dict[str, Any]:
    """One environment, with the address and login of each host."""
    return {
        "name": environment.name,
        "services": {name: str(repository) for name, repository in environment.services.items()},
        "registry_ca": environment.registry_ca,
        "insecure_registries": list(environment.insecure_registries),
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
                "secrets": sorted(host.secrets),
                "state_dir": host.state_dir,
                "docker_socket": host.docker_socket,
                "docker_command": shlex.join(host.docker_command),
                "allow": {service: list(permissions) for service, permissions in host.allow.items()},
            }
            for host in environment.hosts
        ],
    }


def _hop(hop: Hop) -> str:
    address = f"[{hop.address}]" if ":" in hop.address else hop.address
    return f"{hop.user}@{address}:{hop.port}"
