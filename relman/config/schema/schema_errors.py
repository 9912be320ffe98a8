"""Translate pydantic's errors to messages for the file's author."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from relman.config.schema.base import keys, section_of
from relman.config.schema.values import Faults
from relman.config.schema.values_names import NO_JOINING
from relman.config.suggestions import kind_of, nearest, shown
from relman.config.yaml_document import KeyPath

_Schema = TypeVar("_Schema", bound=BaseModel)
_NAMESPACES = ("network_mode", "ipc", "uts", "userns_mode")
_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "string_type": "text",
}


@dataclass(frozen=True)
class Fault:
    """One fault: the path, the message, and whether it concerns the key and not the value."""

    path: KeyPath
    message: str
    on_key: bool = False
    unknown: bool = False


def faults(error: ValidationError, root: type[BaseModel]) -> Iterator[Fault]:
    """All faults of a tree that was validated against `root`."""
    for detail in error.errors(include_url=False):
        path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
        if path and path[-1] == "[key]":
            yield Fault(path[:-1], _message(kind, detail["input"], context), on_key=True)
        elif kind == "extra_forbidden":
            yield Fault(path, _unknown(str(path[-1]), path[:-1], root), on_key=True, unknown=True)
        elif isinstance(several := context.get("error"), Faults):
            yield from (Fault((*path, *at), message) for at, message in several.faults)
        elif kind == "missing":
            yield Fault(path, "this key is required")
        else:
            yield Fault(path, _message(kind, detail["input"], context))


def valid_at(schema: type[_Schema], key: str, value: object) -> _Schema:
    """What the schema makes of this value of its key. Raises Faults, with the path to each below the key."""
    try:
        return schema.model_validate({key: value})
    except ValidationError as error:
        raise Faults([(f.path[1:], f.message) for f in faults(error, schema)]) from None


def _message(kind: str, found: object, context: Mapping[str, Any]) -> str:
    if kind == "value_error":
        return str(context["error"])
    if kind == "greater_than_equal":
        return f"expected at least {context['ge']}, found {shown(found)}"
    if kind == "less_than_equal":
        return f"expected at most {context['le']}, found {shown(found)}"
    return f"expected {_EXPECTED[kind]}, found {kind_of(found)}"


def _unknown(key: str, section: KeyPath, root: type[BaseModel]) -> str:
    """The message for an unknown key: a similar key here, or the same key in another section."""
    if "insecure" in key:
        return (
            "a checkout may not decide what goes without TLS: relman_insecure_registries in the inventory, or "
            "RELMAN_INSECURE_REGISTRIES in the environment, may"
        )
    if key in _NAMESPACES and section == ("deploy",):
        return f"unknown key; the host's network is `networks: [host]`, its processes `pid: host`, and {NO_JOINING}"
    here = section_of(root, section)
    if here and (near := nearest(key, here.model_fields)):
        return f"unknown key; did you mean {near}?"
    elsewhere = {known.split(".")[-1]: known for known in keys(root)}
    if near := nearest(key, elsewhere, cutoff=0.8):
        return f"unknown key here; did you mean {elsewhere[near]}?"
    return "unknown key" + (f"; known here: {', '.join(here.model_fields)}" if here else "")
