"""What a release may ask of the machines that it runs on and is deployed from: granted by the inventory, never by the
image."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from relman.model.settings import DeploySettings, RunSettings

NO_NEW_PRIVILEGES = "no-new-privileges"


class Permission(StrEnum):
    """What `relman_allow` can grant to a service."""

    HOOKS = "hooks"
    CHECKS = "checks"
    PRIVILEGED = "privileged"
    DEVICES = "devices"
    CAP_ADD = "cap_add"
    SECURITY_OPT = "security_opt"
    HOST_NETWORK = "host-network"
    HOST_PID = "host-pid"
    HOST_MOUNTS = "host-mounts"
    PROPAGATION = "propagation"
    GROUP_ADD = "group_add"
    SYSCTLS = "sysctls"


LENIENT = (Permission.HOST_NETWORK, Permission.HOST_MOUNTS)
"""Without any `relman_allow` for the service these are only warned of: they were in use before it was known."""


def needed(settings: DeploySettings) -> Mapping[Permission, tuple[str, ...]]:
    """The permissions that containers with these settings need on their host, each with what it is needed for."""
    found: dict[Permission, dict[str, None]] = {}
    for run in settings.every_run:
        for permission, what in _needed(run).items():
            found.setdefault(permission, {}).update(dict.fromkeys(what))
    return {permission: tuple(what) for permission, what in found.items() if what}


def _needed(settings: RunSettings) -> Mapping[Permission, tuple[str, ...]]:
    container = settings.container
    return {
        Permission.PRIVILEGED: ("true",) if container.privileged else (),
        Permission.DEVICES: tuple(device.source for device in container.devices),
        Permission.CAP_ADD: container.cap_add,
        Permission.SECURITY_OPT: tuple(o for o in container.security_opt if not o.startswith(NO_NEW_PRIVILEGES)),
        Permission.HOST_NETWORK: ("host",) if "host" in settings.networks else (),
        Permission.HOST_PID: ("host",) if container.pid else (),
        Permission.HOST_MOUNTS: tuple(mount.source for mount in settings.volumes if mount.is_bind),
        Permission.PROPAGATION: tuple(mount.source for mount in settings.volumes if mount.propagates),
        Permission.GROUP_ADD: container.group_add,
        Permission.SYSCTLS: tuple(container.sysctls),
    }
