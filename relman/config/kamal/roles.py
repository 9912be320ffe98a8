"""Kamal's servers and roles, as services of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relman.config.compose import forms
from relman.config.compose.model import ComposeService, ImageBuild, Lost
from relman.config.compose.variables import escaped
from relman.config.kamal.options import option_keys
from relman.config.kamal.section import Section
from relman.config.kamal.variables import variables

_READ = {"hosts", "cmd", "stop_timeout", "options", "logging", "proxy", "labels", "env"}
_UP = "/up"
_PORT = 80


@dataclass(frozen=True)
class Role:
    """A role, its hosts, and Kamal's secrets by their names in deploy.secrets."""

    service: ComposeService
    hosts: tuple[str, ...]
    secrets: Mapping[str, str]


def roles(root: Section, build: ImageBuild, lost: Lost) -> list[Role]:
    """All roles; a list of servers alone is the role web. Raises ConfigError."""
    servers = root.tree.get("servers")
    if isinstance(servers, list) or servers is None:
        web = Section.at(root.document, ("servers",), {"hosts": servers})
        return [_role(root, "web", web, build, lost)]
    found = []
    for name, value in root.section("servers").tree.items():
        path = ("servers", name)
        section = Section.at(root.document, path, value if isinstance(value, dict) else {"hosts": value})
        found.append(_role(root, name, section, build, lost))
    return found


def _role(root: Section, name: str, role: Section, build: ImageBuild, lost: Lost) -> Role:
    def lose(key: str, why: str) -> None:
        lost(f"servers.{name}.{key}", why)

    for key in role.others(_READ):
        lose(key, "relman has no key for it")
    own = option_keys(role, lose)
    volumes = [*root.texts("volumes"), *own.pop("volumes", [])]
    ports = role.each(forms.port, own.pop("ports", ()))
    keys: dict[str, Any] = {
        "restart": "unless-stopped",
        "labels": {**root.pairs("labels"), **role.pairs("labels")},
        "command": role.text("cmd"),
        "logging": {**root.section("logging").tree, **role.section("logging").tree},
        "stop_grace_period": _stop_timeout(root, role),
        **own,
    }
    given = variables(role).over(variables(root))
    service = ComposeService(
        name,
        build=build,
        environment=escaped(given.clear),
        ports=ports,
        mounts=role.each(forms.mount, volumes),
        networks={"kamal": ()},
        secrets=given.uses(),
        keys={key: value for key, value in keys.items() if value not in ("", {}, None)},
        health=_health(root, role, name, lose),
    )
    return Role(service, tuple(_hosts(role)), given.named())


def _hosts(role: Section) -> list[str]:
    """The hosts of a role, without their tags."""
    return [
        next(iter(each)) if isinstance(each, dict) and each else role.scalar(each, "hosts", number)
        for number, each in enumerate(role.items("hosts"))
    ]


def _stop_timeout(root: Section, role: Section) -> float | None:
    for section, key in ((role, "stop_timeout"), (root, "stop_timeout"), (root, "drain_timeout")):
        if (found := section.seconds(key)) is not None:
            return found
    return None


def _health(root: Section, role: Section, name: str, lose: Lost) -> Mapping[str, Any]:
    """How Kamal's proxy sees whether a container of the role is healthy; nothing for a role without it."""
    own = role.tree.get("proxy")
    if own is False or (own is None and name != root.text("primary_role", "web")) or root.tree.get("proxy") is False:
        return {}
    merged = {**root.section("proxy").tree, **(own if isinstance(own, dict) else {})}
    proxy = Section.at(root.document, ("proxy",), merged)
    lose("proxy", "relman runs none: publish the port under deploy.ports, or put a proxy into the network kamal")
    port = proxy.text("app_port", str(_PORT))
    http = {"port": int(port) if port.isdigit() else _PORT, "path": proxy.section("healthcheck").text("path", _UP)}
    timeout = root.seconds("deploy_timeout")
    return {"http": http, **({"timeout": f"{timeout:g}s"} if timeout else {})}
