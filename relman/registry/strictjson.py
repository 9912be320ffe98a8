"""Parse untrusted JSON: bounded in size and depth, and unambiguous (RFC 8259, https://www.rfc-editor.org/rfc/rfc8259;
where sections 4 and 6 leave behaviour open, as for duplicate names, it is an error)."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32


def load_object(content: bytes, *, limit: int) -> dict[str, Any]:
    """Parse one JSON object of at most `limit` bytes, nested at most MAX_DEPTH deep.

    Raises ValueError, with the reason, for anything else: not UTF-8, duplicate keys, NaN and Infinity, numbers beyond a
    float, lone surrogates.
    """
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - one error class for all that is wrong with the bytes
    _check_values(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"duplicate key {key[:80]!r}")
        seen[key] = value
    return seen


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is not finite")
    return number


def _check_values(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        for text in (v for v in level if isinstance(v, str)):
            text.encode("utf-8")
        level = [child for v in level for child in _children(v)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_DEPTH}")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list) else []
