"""The difference between two settings of a container, without secrets. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from relman.model.container_settings import ContainerSettings, Device, Tmpfs, Ulimit
from relman.model.files import DeployFile
from relman.model.grants.secrets import SecretRef
from relman.model.settings import DeploySettings, Mount, Port, RunSettings

RUN = (
    "ports",
    "env",
    "volumes",
    "networks",
    "command",
    "restart",
    "stop_timeout",
    "resources",
    "healthcheck",
    "container",
    "aliases",
    "secrets",
    "files",
    "proxy",
    "processes",
)
"""The settings that require new containers when they change."""
_OF_ONE = tuple(key for key in RUN if key != "processes")
HOW = (
    "health",
    "pre_stop",
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
_HOW_OF_ONE = tuple(key for key in HOW if key in RunSettings.__dataclass_fields__)
HIDDEN = "(not shown)"
_HIDDEN_KEYS = ("command", "entrypoint", "healthcheck")


@dataclass(frozen=True)
class Changed:
    """One setting that changes. `old` and `new` are as written in relman.yml, "" for none; the values of variables,
    labels, options and commands, which may contain secrets, are HIDDEN."""

    key: str
    old: str
    new: str


def same_run(one: DeploySettings, other: DeploySettings) -> bool:
    """Whether both settings give the same containers."""
    if [(p.name, p.replicas) for p in one.parts] != [(p.name, p.replicas) for p in other.parts]:
        return False
    if one.every_file != other.every_file:  # those of tasks lie on the host with the others
        return False
    pairs = list(zip(one.runs, other.runs, strict=True))
    return all(getattr(a, key) == getattr(b, key) for a, b in pairs for key in _OF_ONE)


def differences(old: DeploySettings | None, new: DeploySettings) -> tuple[Changed, ...]:
    """The differences, key by key; none if there was no container before."""
    return tuple(_differences(old, new)) if old else ()


def rollout_differences(old: DeploySettings, new: DeploySettings) -> tuple[str, ...]:
    """The keys of the rollout itself that differ: their values may hold commands, and are not shown."""
    found = [key for key in HOW if getattr(old, key) != getattr(new, key)]
    before = {p.name: p for p in old.processes}
    for process in new.processes:
        if one := before.get(process.name):
            keys = [key for key in _HOW_OF_ONE if getattr(one.run, key) != getattr(process.run, key)]
            keys += ["max_hosts"] if one.max_hosts != process.max_hosts else []
            found += [f"processes.{process.name}.{key}" for key in keys]
    return tuple(found)


def _differences(old: DeploySettings, new: DeploySettings) -> Iterator[Changed]:
    if old.processes and new.processes:
        yield from _changed("files", old.files, new.files)  # tasks are given them
    else:
        yield from _of_one(old, new)
    before, after = ({p.name: p for p in each.processes} for each in (old, new))
    for name in dict.fromkeys((*after, *before)):
        key, one, other = f"processes.{name}", before.get(name), after.get(name)
        if one is None or other is None or one.replicas != other.replicas:
            yield Changed(f"{key}.replicas", str(one.replicas) if one else "", str(other.replicas) if other else "")
        if one and other:
            yield from (replace(c, key=f"{key}.{c.key}") for c in _of_one(one.run, other.run))


def _of_one(old: RunSettings, new: RunSettings) -> Iterator[Changed]:
    for key in _OF_ONE:
        before, after = getattr(old, key), getattr(new, key)
        if key == "container":
            for field in dataclasses.fields(ContainerSettings):
                yield from _changed(field.name, getattr(before, field.name), getattr(after, field.name))
        else:
            yield from _changed(key, before, after)


def _changed(key: str, before: Any, after: Any) -> Iterator[Changed]:
    if before == after:
        return
    if key == "files":
        one, other = ({f.name: _shown(f) for f in each} for each in (before, after))
        names = (name for name in sorted({*one, *other}) if one.get(name) != other.get(name))
        yield from (Changed(f"{key}.{name}", one.get(name, ""), other.get(name, "")) for name in names)
    elif key in _HIDDEN_KEYS:
        yield Changed(key, *("" if each is None else HIDDEN for each in (before, after)))
    elif key in ("sysctls", "aliases"):
        yield Changed(key, *(", ".join(f"{n}={_shown(v)}" for n, v in each.items()) for each in (before, after)))
    elif isinstance(before, Mapping):
        yield from _by_name(key, before, after)
    elif key == "logging":
        yield from _changed(f"{key}.driver", *(each and (each.driver or "(default)") for each in (before, after)))
        yield from _by_name(f"{key}.options", *({} if each is None else each.options for each in (before, after)))
    else:
        yield Changed(key, _shown(before), _shown(after))


def _by_name(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Changed]:
    """Variables, labels and options can hold secrets."""
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Changed(f"{key}.{name}", HIDDEN if name in before else "", HIDDEN if name in after else "")


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(_shown(item) for item in value)
        case Port():
            ip = f"{value.host_ip}:" if value.host_ip else ""
            last = f"-{value.host_last}" if value.host_last else ""
            place = "" if value.host_port is None else f"{ip}{value.host_port}{last}:"
            return f"{place}{value.container}" + ("" if value.protocol == "tcp" else f"/{value.protocol}")
        case Mount():
            options = (
                "ro" if value.read_only else "",
                value.selinux,
                value.propagation,
                "nocopy" if value.nocopy else "",
            )
            return ":".join(filter(None, (value.source, value.target, ",".join(filter(None, options)))))
        case SecretRef():
            return f"{value.name} at {value.file}" if value.file else f"{value.name} in the variable {value.env}"
        case DeployFile():
            return f"{value.target} sha256:{value.digest[:12]}"
        case Device():
            return f"{value.source}:{value.target}:{value.permissions}"
        case Tmpfs():
            return f"{value.target}:{value.options}" if value.options else value.target
        case Ulimit():
            return f"{value.name}={value.soft}" + ("" if value.soft == value.hard else f":{value.hard}")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = dataclasses.asdict(value)
        return ", ".join(f"{name}={number}" for name, number in given.items() if number is not None)
    return str(value)
