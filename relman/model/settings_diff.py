"""The difference between two settings of a container, without secrets. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relman.model.settings import DeploySettings, Mount, Port

RUN = ("ports", "env", "volumes", "networks", "command", "restart", "stop_timeout", "resources", "healthcheck")
"""The settings that require a new container when they change."""
HOW = (
    "health",
    "order",
    "singleton",
    "max_unavailable",
    "on_failure",
    "keep",
    "strategy",
    "max_failures",
    "tasks",
    "hooks",
)
"""The settings of the rollout itself: a change of these alone requires no new container."""
HIDDEN = "(not shown)"


@dataclass(frozen=True)
class Changed:
    """One setting that changes. `old` and `new` are as written in relman.yml, "" for none; the values of variables and
    commands, which may contain secrets, are HIDDEN."""

    key: str
    old: str
    new: str


def same_run(one: DeploySettings, other: DeploySettings) -> bool:
    """Whether both settings give the same container."""
    return all(getattr(one, key) == getattr(other, key) for key in RUN)


def differences(old: DeploySettings | None, new: DeploySettings) -> tuple[Changed, ...]:
    """The differences, key by key; none if there was no container before."""
    return tuple(_differences(old, new)) if old else ()


def _differences(old: DeploySettings, new: DeploySettings) -> Iterator[Changed]:
    for key in RUN:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        if key == "env":
            yield from _variables(before, after)
        elif key in ("command", "healthcheck"):
            yield Changed(key, HIDDEN if before else "", HIDDEN if after else "")
        else:
            yield Changed(key, _shown(before), _shown(after))


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Changed(f"env.{name}", HIDDEN if name in before else "", HIDDEN if name in after else "")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, Port):
        ip = f"{value.host_ip}:" if value.host_ip else ""
        place = "" if value.host_port is None else f"{ip}{value.host_port}:"
        return f"{place}{value.container}" + ("" if value.protocol == "tcp" else f"/{value.protocol}")
    if isinstance(value, Mount):
        return f"{value.source}:{value.target}" + (":ro" if value.read_only else "")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = dataclasses.asdict(value)
        return ", ".join(f"{name}={number}" for name, number in given.items() if number is not None)
    return str(value)
