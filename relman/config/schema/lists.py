"""Lists and mappings in the short forms of the Compose Specification: one text for a list, NAME=VALUE for a mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from relman.config.schema import values
from relman.config.schema.base import OneOrMore, Scalar, unless_open
from relman.config.schema.values import Faults
from relman.config.suggestions import kind_of, shown
from relman.config.yaml_document import KeyPath

T = TypeVar("T")
Named = dict[str, Scalar] | list[str]


class FaultList:
    """Collects the faults of several values."""

    def __init__(self) -> None:
        self.found: list[tuple[KeyPath, str]] = []

    def of(self, at: KeyPath, read: Callable[[], T]) -> list[T]:
        """The result of `read`, in a list; an empty list if it raises ValueError."""
        try:
            return [read()]
        except Faults as error:
            self.found += [((*at, *below), message) for below, message in error.faults]
        except ValueError as error:
            self.found.append((at, str(error)))
        return []

    def done(self) -> None:
        """Raise Faults if there are any."""
        if self.found:
            raise Faults(self.found)


def several(parse: Callable[[object], object]) -> PlainValidator:
    """A list of what `parse` returns for one text or for each item of a list, when its variables are expanded."""
    read = unless_open(parse)

    def validate(value: object, info: ValidationInfo) -> list[object]:
        if not isinstance(value, list):
            return [read(value, info)]
        faults = FaultList()
        found = [each for at, item in enumerate(value) for each in faults.of((at,), lambda i=item: read(i, info))]  # type: ignore[misc]
        faults.done()
        return found

    return PlainValidator(validate, json_schema_input_type=OneOrMore)


def named(
    name: Callable[[str], object], parse: Callable[[object], object] = values.text, accepts: Any = Named
) -> PlainValidator:
    """A mapping, or a list of NAME=VALUE. `name` checks each name, `parse` reads each value when its variables are
    expanded; `accepts` is the type in the JSON Schema."""
    read = unless_open(parse)

    def validate(value: object, info: ValidationInfo) -> dict[str, object]:
        faults, found = FaultList(), dict[str, object]()
        for at, key, item in _pairs(value, faults):
            faults.of(at, lambda key=key: name(key))  # type: ignore[misc]
            for each in faults.of(at, lambda item=item: read(item, info)):  # type: ignore[misc]
                found[key] = each
        faults.done()
        return found

    return PlainValidator(validate, json_schema_input_type=accepts)


def _pairs(value: object, faults: FaultList) -> list[tuple[KeyPath, str, object]]:
    if isinstance(value, dict):
        return [((key,), str(key), item) for key, item in value.items()]
    if not isinstance(value, list):
        raise ValueError(f"expected names and their values, found {kind_of(value)}")  # noqa: TRY004
    found: dict[str, tuple[KeyPath, str, object]] = {}
    for at, item in enumerate(value):
        key, _, text = item.partition("=") if isinstance(item, str) else ("", "", "")
        if not key or key in found:
            faults.found.append(
                ((at,), f"{key} is given twice" if key else f"expected NAME=VALUE, found {shown(item)}")
            )
        else:
            found[key] = ((at,), key, text)
    return list(found.values())


def without_clash(clash: Callable[[Any, Any], str | None]) -> AfterValidator:
    """A validator: no two items clash. Items with unexpanded variables are text, and checked later."""

    def check(items: list[Any]) -> list[Any]:
        faults: list[tuple[KeyPath, str]] = []
        for i, item in enumerate(items):
            said = next(filter(None, (clash(other, item) for other in items[:i])), None)
            faults += [((i,), said)] if said else []
        if faults:
            raise Faults(faults)
        return items

    return AfterValidator(check)
