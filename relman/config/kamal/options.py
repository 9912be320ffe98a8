"""Options of `docker run`, which Kamal takes as they are, as keys of compose."""

from __future__ import annotations

from typing import Any

from relman.config.compose.model import Lost
from relman.config.kamal.section import Section

_ALONE = {
    "memory": "mem_limit",
    "cpus": "cpus",
    "pids-limit": "pids_limit",
    "hostname": "hostname",
    "user": "user",
    "workdir": "working_dir",
    "shm-size": "shm_size",
    "restart": "restart",
    "entrypoint": "entrypoint",
    "pid": "pid",
}
_SWITCHES = {"init": "init", "tty": "tty", "privileged": "privileged", "read-only": "read_only"}
_LISTS = {
    "add-host": "extra_hosts",
    "cap-add": "cap_add",
    "cap-drop": "cap_drop",
    "device": "devices",
    "dns": "dns",
    "group-add": "group_add",
    "security-opt": "security_opt",
    "sysctl": "sysctls",
    "tmpfs": "tmpfs",
    "publish": "ports",
    "volume": "volumes",
}
_CHECK = {
    "health-cmd": "test",
    "health-interval": "interval",
    "health-timeout": "timeout",
    "health-retries": "retries",
    "health-start-period": "start_period",
}


def option_keys(section: Section, lost: Lost) -> dict[str, Any]:
    """The `options` of a role or an accessory; `lost` is told of those that relman has no key for."""
    options = section.section("options")
    found: dict[str, Any] = {}
    for written in options.tree:
        name = written.replace("_", "-")
        if name in _ALONE:
            found[_ALONE[name]] = options.text(written)
        elif name in _SWITCHES:
            found[_SWITCHES[name]] = options.text(written) == "true"
        elif name in _LISTS:
            found[_LISTS[name]] = options.texts(written)
        elif name in _CHECK:
            found.setdefault("healthcheck", {})[_CHECK[name]] = options.text(written)
        elif name == "ulimit":
            found["ulimits"] = dict(map(_limit, options.texts(written)))
        else:
            lost(f"options.{written}", "this option of docker run has no key")
    return found


def _limit(text: str) -> tuple[str, Any]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return name, {"soft": int(soft), "hard": int(hard or soft)} if (soft + hard).isdigit() else values
