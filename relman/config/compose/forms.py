"""The short and long forms of a service's keys (https://github.com/compose-spec/compose-spec/blob/main/05-services.md).

All raise ValueError with what was expected.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from relman.config.compose.model import ImageBuild, PublishedPort, SecretUse, ServiceMount
from relman.config.suggestions import shown

_RANGE = r"\d+(?:-\d+)?"
_PORT = re.compile(rf"(?:(?:(?P<ip>\[[^\]]*\]|[^:]*):)?(?P<host>{_RANGE})?:)?(?P<inside>{_RANGE})(?:/(?P<kind>\w+))?")
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(us|ms|s|m|h))")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def items(value: Any) -> list[Any]:
    """A list; one value is a list of it, None an empty one."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def pairs(value: Any) -> dict[str, str | None]:
    """A mapping, or a list of NAME=VALUE; None is a name without a value."""
    if isinstance(value, Mapping):
        return {str(name): None if each is None else text(each) for name, each in value.items()}
    found = (str(item).partition("=") for item in items(value))
    return {name: each if equals else None for name, equals, each in found}


def text(value: Any) -> str:
    """A scalar as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"expected text, found {shown(value)}")


def words(value: Any) -> list[str]:
    """A command: its words, or one text split as a shell would, which compose runs without one."""
    if isinstance(value, list):
        return [text(word) for word in value]
    try:
        return shlex.split(text(value))
    except ValueError:
        raise ValueError(f"expected words as a shell has them, found an open quote: {shown(value)}") from None


def mapping(value: Any) -> dict[str, Any]:
    """A mapping; None is an empty one."""
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise ValueError(f"expected a mapping, found {shown(value)}")


def count(value: Any) -> int:
    """A whole number, as one or as text."""
    try:
        return int(text(value))
    except ValueError:
        raise ValueError(f"expected a whole number, found {shown(value)}") from None


def seconds(value: Any) -> float:
    """A duration such as 1m30s, in seconds; a bare number counts seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    parts = _DURATION.findall(str(value))
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"expected a duration such as 1m30s, found {shown(value)}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def port(value: Any) -> PublishedPort:
    """[[IP:]HOST:]CONTAINER[/PROTOCOL], or the long form."""
    if isinstance(value, Mapping):
        return PublishedPort(
            text(value["target"]),
            text(value.get("published", "")),
            text(value.get("protocol", "tcp")),
            text(value.get("host_ip", "")),
        )
    found = _PORT.fullmatch(str(value))
    if not found:
        raise ValueError(f"expected a port such as 8080:80, found {shown(value)}")
    return PublishedPort(found["inside"], found["host"] or "", found["kind"] or "tcp", (found["ip"] or "").strip("[]"))


def mount(value: Any) -> ServiceMount:
    """[SOURCE:]TARGET[:OPTIONS], or the long form."""
    if isinstance(value, Mapping):
        return _long_mount(value)
    parts = text(value).split(":")
    if len(parts) == 1:
        return ServiceMount("volume", "", parts[0])
    if len(parts) > 3:  # SOURCE:TARGET:OPTIONS
        raise ValueError(f"expected a volume such as data:/data:ro, found {shown(value)}")
    options = parts[2].split(",") if len(parts) > 2 else []
    kind = "bind" if parts[0].startswith((".", "/", "~")) else "volume"
    kept = tuple(word for word in options if word not in ("ro", "rw", "cached", "delegated", "consistent"))
    return ServiceMount(kind, parts[0], parts[1], "ro" in options, kept)


def _long_mount(value: Mapping[str, Any]) -> ServiceMount:
    bind, volume = value.get("bind") or {}, value.get("volume") or {}
    options = [bind.get("propagation"), bind.get("selinux"), "nocopy" if volume.get("nocopy") else None]
    return ServiceMount(
        text(value["type"]),
        text(value.get("source", "")),
        text(value["target"]),
        value.get("read_only") is True,
        tuple(text(word) for word in options if word),
    )


def networks(value: Any) -> dict[str, tuple[str, ...]]:
    """The networks of a service with its aliases in each; `default` if it names none."""
    if isinstance(value, Mapping):
        return {str(n): tuple(map(text, (options or {}).get("aliases") or ())) for n, options in value.items()}
    return {text(name): () for name in items(value)} or {"default": ()}


def depends_on(value: Any) -> dict[str, str]:
    """The services that one needs, each with the condition."""
    if isinstance(value, Mapping):
        return {str(n): text((options or {}).get("condition", "service_started")) for n, options in value.items()}
    return {text(name): "service_started" for name in items(value)}


def env_files(value: Any) -> Iterator[tuple[str, bool]]:
    """The files of variables, each with whether it must exist."""
    for each in items(value):
        long = isinstance(each, Mapping)
        yield text(each["path"] if long else each), (each.get("required") is not False if long else True)


def secret(value: Any) -> SecretUse:
    """NAME, or the long form."""
    if not isinstance(value, Mapping):
        return SecretUse(text(value))
    target = text(value.get("target") or "")
    return SecretUse(text(value["source"]), target if "/" in target or not target else f"/run/secrets/{target}")


def build(value: Any) -> ImageBuild:
    """The context alone, or the long form."""
    if not isinstance(value, Mapping):
        return ImageBuild(text(value))
    known = {"context", "dockerfile", "args", "target", "platforms", "cache_from", "cache_to", "tags", "pull"}
    args = tuple((name, each or "") for name, each in pairs(value.get("args")).items())
    platforms = items(value.get("platforms"))
    return ImageBuild(
        text(value.get("context", ".")),
        text(value.get("dockerfile", "Dockerfile")),
        args,
        text(value.get("target") or ""),
        text(platforms[0]) if len(platforms) == 1 else "",
        tuple(key for key in value if key not in known and not key.startswith("x-")),
    )
