"""The networks of a container: a list of names, or a mapping of names to the container's aliases in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import PlainValidator, ValidationInfo

from relman.config.schema import values_names, values_settings
from relman.config.schema.base import unless_open
from relman.config.schema.lists import FaultList
from relman.config.schema.values import Faults
from relman.config.suggestions import kind_of

ALONE = ("host", "none")
WITHOUT_NAMES = ("bridge", "default", *ALONE)
"""The engine's own networks, in which containers have no names."""


def _clash(one: str, other: str) -> str | None:
    if one == other:
        return "the same network twice"
    return "host and none exclude other networks" if {one, other} & set(ALONE) else None


def _networks(value: object, info: ValidationInfo) -> dict[str, tuple[str, ...]]:
    """Names with their aliases, in order."""
    items = list(value.items()) if isinstance(value, dict) else None
    if items is None and isinstance(value, list):
        items = [(name, None) for name in value]
    if items is None:
        raise ValueError(f"expected a list of names, or names and their aliases, found {kind_of(value)}")
    faults, found = FaultList(), dict[str, tuple[str, ...]]()
    for at, (written, options) in enumerate(items):
        path = (written,) if isinstance(value, dict) else (at,)
        for name in faults.of(path, _reading(values_names.network, written, info)):
            clash = next(filter(None, (_clash(str(other), str(name)) for other in found)), None)
            faults.found += [(path, clash)] if clash else []
            for aliases in faults.of(path, lambda name=name, options=options: _aliases(str(name), options, info)):  # type: ignore[misc]
                found[str(name)] = aliases
    faults.done()
    return found


def _reading(parse: Callable[[object], object], value: object, info: ValidationInfo) -> Callable[[], object]:
    return lambda: unless_open(parse)(value, info)


def _aliases(network: str, options: object, info: ValidationInfo) -> tuple[str, ...]:
    if options is None:
        return ()
    given = options.get("aliases") if isinstance(options, dict) and options.keys() == {"aliases"} else None
    if not isinstance(given, list):
        raise ValueError(f"expected {{aliases: [NAME, …]}}, found {kind_of(options)}")  # noqa: TRY004
    if network in WITHOUT_NAMES and given:
        raise Faults([(("aliases",), f"in the engine's network {network} containers have no names")])
    faults = FaultList()
    names = [
        str(name)
        for at, alias in enumerate(given)
        for name in faults.of(("aliases", at), _reading(values_settings.host_name, alias, info))
    ]
    faults.done()
    return tuple(names)


Networks = Annotated[
    dict[str, tuple[str, ...]],
    PlainValidator(_networks, json_schema_input_type=list[str] | dict[str, dict[Literal["aliases"], list[str]] | None]),
]
