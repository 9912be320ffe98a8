"""Rebuild dataclasses from untrusted JSON, by the types of their fields, or refuse it with the path to the invalid
key."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sized
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from relman.model.errors import UsageError
from relman.model.image import Digest, Repository

T = TypeVar("T")
_LONGEST = 1 << 17  # characters of one text: the limit of Linux for one argument or variable (MAX_ARG_STRLEN)
_SHOWN = 40  # characters of an unknown key in a message
_MOST = 10_000  # items of one list or object
_MOST_VALUES = 200_000  # of a document, checked before parsing: parsed values take much more memory than their text
_LARGEST_WHOLE = 1 << 63
LONGEST_WAIT = 1e9
"""The largest number that is accepted; most are seconds, and Python's clocks cannot wait much longer."""


class Misread(ValueError):
    """The data is not as expected; `str` begins with the path to the invalid key."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"{key}: {what}" if key else what)


class Newer(Misread):
    """The data contains something that only a newer relman writes."""


def parse(data: bytes) -> Any:
    """Parse a JSON document (RFC 8259, https://www.rfc-editor.org/rfc/rfc8259) in UTF-8, without duplicate keys, NaN
    and Infinity.

    Raises Misread.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        raise Misread("", f"it holds more than {_MOST_VALUES} values")
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise Misread("", "it is nested too deeply") from None
    except Misread:
        raise
    except ValueError as error:
        raise Misread("", "it is not JSON") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Misread(_shown(next(n for n in names if names.count(n) > 1)), "duplicate key")
    return found


def _no_constant(name: str) -> Any:
    raise Misread("", f"{name} is not a number")


def read(kind: type[T], data: object, key: str = "") -> T:
    """Rebuild a dataclass from its plain form.

    Supported fields: text, numbers, booleans, enums, digests, repositories, dataclasses, tuples of one type, mappings
    with text keys, each optionally None. `key` is the path of `data` in its document. Raises Misread for a wrong type,
    a size beyond the limits or a missing key, and Newer for an unknown key.
    """
    whole: Any = kind
    table, (fields, hints) = _object(data, key), _described(whole)
    for name in table:
        if name not in fields:
            raise Newer(_join(key, _shown(name)), "unknown key, written by a newer relman")
    for name, field in fields.items():
        if name not in table and field.default is field.default_factory is dataclasses.MISSING:
            raise Misread(_join(key, name), "this key is missing")
    return kind(**{name: _value(hints[name], value, _join(key, name)) for name, value in table.items()})


@cache
def _described(kind: Any) -> tuple[Mapping[str, dataclasses.Field[Any]], Mapping[str, Any]]:
    return {f.name: f for f in dataclasses.fields(kind)}, get_type_hints(kind)


def _value(hint: Any, data: Any, key: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if data is None else _value(next(i for i in inner if i is not NoneType), data, key)
    if origin is tuple:
        return tuple(_value(inner[0], item, f"{key}[{i}]") for i, item in enumerate(_list(data, key)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        table = _object(data, key)
        return {_text(name, key): _value(inner[1], item, _join(key, _shown(name))) for name, item in table.items()}
    return _single(hint, data, key)


def _single(kind: Any, data: Any, key: str) -> Any:
    if kind is bool:
        return _expected(isinstance(data, bool), data, key, "true or false")
    if kind is int:
        fits = isinstance(data, int) and not isinstance(data, bool) and abs(data) < _LARGEST_WHOLE
        return _expected(fits, data, key, "a whole number")
    if kind is float:
        fits = isinstance(data, int | float) and not isinstance(data, bool)
        return _expected(fits and math.isfinite(data) and abs(data) <= LONGEST_WAIT, data, key, "a number")
    if kind is str:
        return _text(data, key)
    if issubclass(kind, Enum):
        known = [str(member.value) for member in kind]
        return kind(_expected(isinstance(data, str) and data in known, data, key, f"one of {', '.join(known)}"))
    if issubclass(kind, Digest | Repository):
        return _named(kind.parse if issubclass(kind, Repository) else kind, data, key)
    return read(kind, data, key)


def _named(build: Any, data: Any, key: str) -> Any:
    try:
        return build(_text(data, key))
    except UsageError as error:
        raise Misread(key, error.what) from error


def _text(data: Any, key: str) -> str:
    text: str = _expected(isinstance(data, str), data, key, "text")
    if len(text) > _LONGEST:
        raise Misread(key, f"expected at most {_LONGEST} characters")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise Misread(key, "expected text, found an incomplete character")
    return text


def _list(data: Any, key: str) -> list[Any]:
    items: list[Any] = _expected(isinstance(data, list), data, key, "a list")
    _bound(items, key)
    return items


def _object(data: Any, key: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = _expected(isinstance(data, Mapping), data, key, "an object")
    _bound(table, key)
    return table


def _bound(items: Sized, key: str) -> None:
    if len(items) > _MOST:
        raise Misread(key, f"expected at most {_MOST} items")


def _expected(fits: bool, data: Any, key: str, what: str) -> Any:
    if not fits:
        raise Misread(key, f"expected {what}")
    return data


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _shown(name: str) -> str:
    """An untrusted key, cut and escaped for a message."""
    short = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return short if short.isidentifier() else ascii(short)
