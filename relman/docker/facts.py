"""What an engine answers about itself, read into the model. Pure."""

from __future__ import annotations

from typing import Any

from relman.docker.answers import clock
from relman.docker.fields import Fields
from relman.model.container import EngineFacts
from relman.model.image import Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
}
_PAIR = 2


def facts(info: Any) -> EngineFacts:
    """From GET /info."""
    found = Fields.of(info)
    machine = found.text("Architecture")
    status = [row for row in found.rows("DriverStatus") if isinstance(row, list)]
    return EngineFacts(
        version=found.text("ServerVersion"),
        platform=Platform(found.text("OSType") or "linux", _ARCHITECTURES.get(machine, machine)),
        containerd_store=any(len(row) == _PAIR and row[0] == "driver-type" for row in status),
        clock=clock(found.text("SystemTime")),
        rootless=any("name=rootless" in option.split(",") for option in found.texts("SecurityOptions")),
        live_restore=found.flag("LiveRestoreEnabled"),
    )


def engine_name(version: Any) -> str:
    """From GET /version: `Podman Engine 4.3.1`."""
    found = Fields.of(version)
    named = [(part.text("Name"), part.text("Version")) for part in found.each("Components")]
    name, number = next((pair for pair in named if all(pair)), ("the engine", found.text("Version")))
    return f"{name} {number}".strip()


def is_swarm_worker(info: Any) -> bool:
    """From GET /info: whether it is in a swarm without managing it."""
    swarm = Fields.of(info).fields("Swarm")
    return swarm.text("LocalNodeState") == "active" and not swarm.flag("ControlAvailable")
