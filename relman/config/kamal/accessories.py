"""Kamal's accessories, as services whose images are others'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relman.config.compose import forms
from relman.config.compose.model import ComposeService, Lost
from relman.config.compose.rest import REST
from relman.config.compose.variables import escaped
from relman.config.kamal.options import option_keys
from relman.config.kamal.section import Section
from relman.config.kamal.variables import variables

_PLACES = ("host", "hosts", "role", "roles", "tag", "tags")
_READ = {*_PLACES, "service", "image", "cmd", "port", "labels", "options", "env"}
_READ |= {"files", "directories", "volumes", "network"}
_REASONS = {
    "registry": "sign in with `docker login` on its host",
    "proxy": "nothing stands before it: publish its port",
}


@dataclass(frozen=True)
class Accessory:
    """One accessory: as a service, which the tests may need, and as it is written into the compose file of the rest."""

    service: ComposeService
    written: Mapping[str, Any]


def accessory(app: str, name: str, section: Section, lost: Lost) -> Accessory:
    """Read one. Raises ConfigError."""

    def lose(key: str, why: str) -> None:
        lost(f"accessories.{name}.{key}", why)

    for key in section.others(_READ):
        lose(key, _REASONS.get(key, "it is not read"))
    label = section.text("service") or f"{app}-{name}"
    own = option_keys(section, lose)
    own["ports"] = [_port(port) for port in section.texts("port")] + own.get("ports", [])
    own["command"] = section.text("cmd")
    files, given = _paths(section, "files", lose), variables(section)
    volumes = [*section.texts("volumes"), *own.pop("volumes", [])]
    volumes += [each if each.startswith("/") else f"./{label}/{each}" for each in _paths(section, "directories", lose)]
    own = {key: escaped(value) for key, value in own.items() if value not in ("", [])}
    image, network = section.required("image"), section.text("network", "kamal")
    clear = escaped(given.clear)
    written = {
        "image": image,
        "container_name": label,
        "restart": "unless-stopped",
        "environment": dict(clear) | {variable: f"${{{secret}}}" for variable, secret in given.secret.items()},
        "volumes": [*volumes, *(_on_host(label, file) for file in files)],
        "labels": escaped(section.pairs("labels")),
        "networks": [network],
    }
    where = ", ".join(f"{key} {', '.join(section.texts(key))}" for key in _PLACES if key in section.tree)
    start = f"`docker compose -f {REST} up -d {label}`"
    lose(
        "host",
        f"it ran on {where}: there, in the home directory, {start} starts it with its data, once "
        f"`docker rm -f {label}` has removed Kamal's container",
    )
    mounts = section.each(forms.mount, [*volumes, *(f if f.startswith("/") else f"./{f}" for f in files)])
    service = ComposeService(
        label,
        image,
        environment=clear,
        mounts=mounts,
        networks={network: ()},
        secrets=given.uses(),
        keys={**own, "ports": None},
    )
    return Accessory(service, {key: value for key, value in {**written, **own}.items() if value not in ([], {})})


def _paths(section: Section, key: str, lose: Lost) -> list[str]:
    """LOCAL:REMOTE[:OPTIONS] of each, in either form."""
    found = []
    for number, each in enumerate(section.items(key)):
        if isinstance(each, dict):
            one = Section.at(section.document, (*section.path, key, number), each)
            text = ":".join(filter(None, (one.required("local"), one.required("remote"), one.text("options"))))
        else:
            text = section.scalar(each, key, number)
        if not all(text.split(":")[:2]) or ":" not in text:
            raise section.fault("expected LOCAL:REMOTE", key, number)
        if text.partition(":")[0].endswith(".erb"):
            lose(key, f"{text}: Ruby in it is not run: mount the text that it makes")
        else:
            found.append(text)
    return found


def _on_host(label: str, file: str) -> str:
    """The mount of a file where Kamal has put it on the host."""
    _, *inside = file.split(":")
    return ":".join([f"./{label}{inside[0]}", *inside])


def _port(port: str) -> str:
    return port if ":" in port else f"{port}:{port}"
