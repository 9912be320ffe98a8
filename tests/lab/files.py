"""The files through which people and programs use the lab."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.lab import pki
from tests.lab.index import PackageIndex
from tests.lab.layout import Layout
from tests.lab.machine import Machine
from tests.lab.registry import Registry


def write_all(layout: Layout, hosts: Sequence[Machine], registry: Registry) -> None:
    """Write known_hosts, ssh_config, the inventory and env.sh for these hosts."""
    key = layout.dir / "ssh/id_ed25519"
    known = layout.dir / "ssh/known_hosts"
    known.write_text("".join(f"{h.address},{h.name} {h.host_key}\n" for h in hosts))
    (layout.dir / "ssh/config").write_text("".join(_ssh_config(h, key, known) for h in hosts))
    (layout.dir / "inventory").mkdir(exist_ok=True)
    tree = inventory(hosts, key, registry)
    (layout.dir / "inventory/lab.yml").write_text(yaml.safe_dump(tree, sort_keys=False))
    variables = environment(layout, registry)
    text = "".join(f"export {k}='{v}'\n" for k, v in variables.items())
    pki.write_private(layout.dir / "env.sh", text.encode())


def _ssh_config(host: Machine, key: Path, known: Path) -> str:
    return f"""\
Host {host.name} {host.address}
  HostName {host.address}
  User root
  IdentityFile {key}
  IdentitiesOnly yes
  UserKnownHostsFile {known}
  StrictHostKeyChecking yes
"""


def inventory(hosts: Sequence[Machine], key: Path, registry: Registry) -> dict[str, object]:
    """Return the inventory in Ansible's YAML form: production is every host, staging the first."""
    group_vars = {
        "relman_services": {"shop": f"{registry.address}/shop"},
        "relman_registry_ca": str(registry.ca),
        "relman_env": {},
    }
    described = {
        h.name: {
            "ansible_host": h.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(key),
            "address": h.address,
        }
        for h in hosts
    }
    staging = dict(list(described.items())[:1])
    groups = {
        name: {"hosts": dict.fromkeys(members), "vars": dict(group_vars)}
        for name, members in (("production", described), ("staging", staging))
    }
    return {"all": {"hosts": described, "children": groups}}


def _no_proxy() -> str:
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")


def environment(layout: Layout, registry: Registry) -> dict[str, str]:
    """Return the variables with which relman and docker find the lab."""
    return {
        "RELMAN_INVENTORY": str(layout.dir / "inventory/lab.yml"),
        "RELMAN_SSH_CONFIG": str(layout.dir / "ssh/config"),
        "RELMAN_KNOWN_HOSTS": str(layout.dir / "ssh/known_hosts"),
        "RELMAN_REGISTRY_CA": str(registry.ca),
        "DOCKER_CONFIG": str(registry.docker_config),
        "DOCKER_HOST": f"unix://{layout.dir}/ci/docker.sock",
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, (_no_proxy(), f"{layout.address(0)}/24")))),
        **PackageIndex(layout, registry).env,
    }
