"""What comes out of an image gets no more of hosts, and of the deployer's machine, than the inventory grants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from relman.config.deploy import resolve
from relman.config.inventory.load import load_inventory
from relman.model.errors import ConfigError, PolicyRefused
from relman.model.grants.permissions import Permission, needed
from relman.model.host import Environment, Hop, Host
from relman.model.plan import Plan
from relman.model.settings import DeploySettings
from relman.rollout.planning.permissions import check_permissions
from relman.rollout.planning.planner import plan_deploy, plan_rollback
from tests.unit.cli import relman
from tests.unit.test_planner import ASKED, release, seen
from tests.unit.values import deployed

ASKS: Mapping[Permission, dict[str, Any]] = {
    Permission.PRIVILEGED: {"privileged": True},
    Permission.DEVICES: {"devices": "/dev/fuse"},
    Permission.CAP_ADD: {"cap_add": "NET_ADMIN"},
    Permission.SECURITY_OPT: {"security_opt": ["no-new-privileges", "apparmor=unconfined"]},
    Permission.HOST_NETWORK: {"networks": ["host"]},
    Permission.HOST_PID: {"pid": "host"},
    Permission.HOST_MOUNTS: {"volumes": ["/var/run/docker.sock:/s", "data:/data"]},
    Permission.GROUP_ADD: {"group_add": 44},
    Permission.SYSCTLS: {"sysctls": {"net.core.somaxconn": 1}},
    Permission.HOOKS: {"hooks": [{"command": ["./announce.sh"]}]},
    Permission.CHECKS: {"strategy": {"canary": {"check": {"command": ["./ask.sh"]}}}},
}
TOLERATED = (Permission.HOST_NETWORK, Permission.HOST_MOUNTS)


def settings(**deploy: Any) -> DeploySettings:
    """The settings of a deploy section."""
    return resolve(deploy, {}, {}, origin="a test")


def plan(deploy: dict[str, Any], names: tuple[str, ...] = ("h1", "h2")) -> Plan:
    """A first deployment to these hosts."""
    found = settings(**deploy)
    return plan_deploy(ASKED, release("2"), dict.fromkeys(names, found), [seen(name) for name in names])


def inventory(allow: dict[str, list[Permission] | None], *, local: bool = False) -> Environment:
    """An environment of these hosts, each with what it grants to the service."""
    hosts = [
        Host(name, Hop(name), allow={} if granted is None else {"shop": tuple(granted)})
        for name, granted in allow.items()
    ]
    return Environment("production", tuple(hosts), local_commands=local)


def test_every_permission_is_tried() -> None:
    """Propagation, which needs a mount as well, is below."""
    assert set(Permission) - set(ASKS) == {Permission.PROPAGATION}


@pytest.mark.parametrize("permission", ASKS)
def test_what_is_granted_is_done_and_nothing_else(permission: Permission) -> None:
    """With the permission on every host; with any other one, or on one host only, it is refused by host and key, with
    the line of the inventory, which grants what was granted before, too."""
    made = plan(ASKS[permission])
    assert check_permissions(made, inventory({"h1": [permission], "h2": [permission]})) == made
    others = [p for p in Permission if p is not permission]
    for second in (others, []):
        with pytest.raises(PolicyRefused) as caught:
            check_permissions(made, inventory({"h1": [permission], "h2": second}))
        assert any(str(permission) in line for line in caught.value.details)
        line = caught.value.hint.partition("relman_allow: ")[2].partition("}")[0] + "}"
        assert set(yaml.safe_load(line)["shop"]) == {str(permission), *map(str, second)}
        local = permission in (Permission.HOOKS, Permission.CHECKS)
        assert caught.value.details[0].startswith("this machine: " if local else "h2: ")
        assert ("relman_local_commands: true" in caught.value.hint) is local


@pytest.mark.parametrize("permission", ASKS)
def test_where_the_inventory_says_nothing_new_keys_are_refused_and_old_ones_warned_of(permission: Permission) -> None:
    """The host's network and directories were in use before: a warning names them and the hosts. Commands of the image
    on the deployer's machine always needed a word."""
    nothing = inventory({"h1": None, "h2": None})
    made = plan(ASKS[permission])
    if permission not in TOLERATED:
        with pytest.raises(PolicyRefused):
            check_permissions(made, nothing)
        return
    (warning,) = set(check_permissions(made, nothing).warnings) - set(made.warnings)
    assert warning.startswith(f"h1, h2: {permission}: ")


def test_a_release_that_asks_for_nothing_needs_nothing() -> None:
    """No warning, no refusal: volumes, ports, dropped capabilities and no-new-privileges are everybody's."""
    made = plan({"volumes": ["d:/d"], "ports": ["80:80"], "cap_drop": "ALL", "security_opt": "no-new-privileges"})
    assert check_permissions(made, inventory({"h1": None, "h2": []})) == made


def test_all_that_is_missing_is_said_at_once() -> None:
    """Nobody writes a line, and is refused for the next thing: hooks and devices are in one refusal, and one line."""
    made = plan({**ASKS[Permission.HOOKS], **ASKS[Permission.DEVICES], **ASKS[Permission.HOST_MOUNTS]})
    with pytest.raises(PolicyRefused) as caught:
        check_permissions(made, inventory({"h1": None, "h2": [Permission.DEVICES, Permission.SYSCTLS]}))
    assert caught.value.details == (
        "this machine: hooks: ./announce.sh",
        "h1: devices: /dev/fuse",
        "h2: host-mounts: /var/run/docker.sock",
    )
    assert caught.value.hint.endswith("relman_allow: {shop: [hooks, devices, host-mounts, sysctls]}")


def test_local_commands_are_hooks_and_checks() -> None:
    """The older variable goes on to grant both, and only these."""
    for permission in (Permission.HOOKS, Permission.CHECKS):
        made = plan(ASKS[permission])
        assert check_permissions(made, inventory({"h1": None, "h2": []}, local=True)) == made
    with pytest.raises(PolicyRefused):
        check_permissions(plan(ASKS[Permission.PRIVILEGED]), inventory({"h1": [], "h2": []}, local=True))


def test_propagation_is_judged_beside_the_mount_itself() -> None:
    """A private one needs no more than the mount."""
    assert needed(settings(volumes=["/d:/d:rprivate,ro"])) == {Permission.HOST_MOUNTS: ("/d",)}
    both = needed(settings(volumes=["/d:/d:rslave", "/e:/e"]))
    assert both == {Permission.HOST_MOUNTS: ("/d", "/e"), Permission.PROPAGATION: ("/d",)}


def test_a_rollback_is_exempt() -> None:
    """What a host has run already it may run again: nobody is kept in a broken release by a word in an inventory."""
    old = deployed("1", settings=settings(**ASKS[Permission.PRIVILEGED]))
    made = plan_rollback(ASKED, [seen("h1", old, deployed("2"))])
    assert made.steps[0].entry.settings.container.privileged


def _read(tmp_path: Path, allow: object) -> Environment:
    file = tmp_path / "inventory.yml"
    variables = {"relman_services": {"shop": "registry.example.com/shop"}, "relman_allow": allow}
    file.write_text(yaml.safe_dump({"production": {"vars": variables, "hosts": {"h1": None}}}))
    return load_inventory([file]).environment("production", ssh_config="/dev/null")


def test_an_inventory_grants_by_service(tmp_path: Path) -> None:
    """As written; a misspelt permission is refused at its place, as it would grant nothing."""
    found = _read(tmp_path, {"shop": ["host-mounts", "hooks"]})
    assert found.hosts[0].allow == {"shop": (Permission.HOST_MOUNTS, Permission.HOOKS)}
    for wrong, said in (
        ({"shop": ["host-mount"]}, "relman_allow.shop: unknown permission 'host-mount'; did you mean host-mounts?"),
        ({"shop": "hooks"}, "relman_allow.shop: expected a list of hooks, checks, "),
        (["hooks"], "relman_allow: expected names and their values, found a list"),
    ):
        with pytest.raises(ConfigError) as caught:
            _read(tmp_path, wrong)
        assert said in caught.value.details[0]


def test_relman_check_says_it_sooner(tmp_path: Path) -> None:
    """Before a build, and with the line to write; once it is written nothing is said."""
    (tmp_path / "relman.yml").write_text(
        "service: shop\nregistry: localhost:5000\nbuild: {context: .}\n"
        "deploy: {devices: '${device}', volumes: ['/etc/shop:/shop'], ports: [80]}\n"
    )
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    inventory = tmp_path / "inventories"
    inventory.mkdir()
    hosts: dict[str, Any] = {
        name: {"device": f"/dev/{name}", "relman_allow": {"shop": ["host-mounts"]}} for name in ("h1", "h2")
    }
    variables = {"relman_services": {"shop": "localhost:5000/shop"}}
    for granted in ([], ["devices"]):
        tree = {"production": {"vars": variables, "hosts": hosts}}
        (inventory / "hosts.yml").write_text(yaml.safe_dump(tree))
        said = relman("check", cwd=tmp_path)
        line = "to allow it, write in the inventory: relman_allow: {shop: [devices, host-mounts]}"
        wanted = [f"warning: production does not allow {h}: devices: /dev/{h}; {line}" for h in ("h1", "h2")]
        assert (said.returncode, [text for text in said.stderr.splitlines() if "allow" in text]) == (
            0,
            [] if granted else wanted,
        )
        for name in hosts:
            hosts[name]["relman_allow"] = {"shop": ["devices", "host-mounts"]}
