"""The lab's network: a bridge in the machine's own namespace, a cable to a namespace for each lab machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.layout import LabError, Layout
from tests.lab.process import end, run

NAMESPACES = Path("/run/netns")
LINKS = Path("/sys/class/net")


def check_owner(layout: Layout) -> None:
    """Raise LabError if a lab in another directory has this lab's bridge."""
    alias = LINKS / layout.bridge / "ifalias"
    owner = alias.read_text().strip() if alias.exists() else ""
    if owner not in ("", str(layout.dir)):
        raise LabError(f"lab {layout.id} is up in {owner}: use that directory or another RELMAN_LAB_ID")


def make_bridge(layout: Layout) -> None:
    """Make the bridge, marked as this lab's, with the gateway's address, unless it is there."""
    if not (LINKS / layout.bridge).exists():
        run("ip", "link", "add", layout.bridge, "type", "bridge")
    run("ip", "link", "set", layout.bridge, "alias", layout.dir)
    run("ip", "addr", "replace", f"{layout.gateway}/24", "dev", layout.bridge)
    run("ip", "link", "set", layout.bridge, "up")
    if run(*_rule(layout, "-C"), check=False).returncode:
        run(*_rule(layout, "-I"))


def _rule(layout: Layout, action: str) -> list[str]:
    """Let the bridge's own traffic through where an engine on this machine made FORWARD drop it."""
    bridge = layout.bridge
    return ["iptables", "-w", action, "FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]


def remove_bridge(layout: Layout) -> None:
    """Remove the bridge and its firewall rule, if they are there."""
    while run(*_rule(layout, "-D"), check=False).returncode == 0:
        pass
    remove_link(layout.bridge)


def remove_link(name: str) -> None:
    """Remove a link, if it is there."""
    if (LINKS / name).exists():
        run("ip", "link", "del", name, check=False)


def attach(layout: Layout, name: str, octet: int) -> None:
    """Make machine `name`'s namespace with an eth0 at address `octet`, cabled to the bridge."""
    netns, link = layout.netns(name), layout.link(name)
    run("ip", "netns", "add", netns)
    mac = layout.mac(octet)
    run(
        "ip", "link", "add", link, "type", "veth",
        "peer", "name", "eth0", "address", mac, "netns", netns,
    )  # fmt: skip
    run("ip", "link", "set", link, "master", layout.bridge, "up")
    commands = (
        "link set lo up",
        f"addr add {layout.address(octet)}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {layout.gateway}",
    )
    run("ip", "-n", netns, "-b", "-", stdin="\n".join(commands))


def detach(layout: Layout, name: str) -> None:
    """Kill whatever is left in machine `name`'s namespace and remove it with its cable."""
    netns = layout.netns(name)
    if (NAMESPACES / netns).exists():
        for pid in run("ip", "netns", "pids", netns, check=False).stdout.split():
            if int(pid) != os.getpid():
                end(int(pid))
        run("ip", "netns", "del", netns)
    remove_link(layout.link(name))


def attached(layout: Layout) -> list[str]:
    """Return the names of the machines that have a namespace now."""
    found = NAMESPACES.glob(f"{layout.prefix}*") if NAMESPACES.exists() else []
    return sorted(path.name.removeprefix(layout.prefix) for path in found)
