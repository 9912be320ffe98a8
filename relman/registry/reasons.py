"""Why a registry refuses, in its own words (distribution specification, error codes), fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from relman.registry.strictjson import load_object

MOST = 5
LONGEST = 300
LIMIT = 1 << 16
"""Bytes of an answer that are read for its reasons."""
_SHORTEST_SECRET = 4
_MARKUP = re.compile(r"<[^<>]{0,1000}>")


def reasons_in(body: bytes, secrets: Collection[str] = ()) -> tuple[str, ...]:
    """What the body of a refusal says, at most MOST lines of LONGEST characters, without any of `secrets`.

    Bodies that are no JSON come from what stands in front of the registry: of a page its text is shown.
    """
    try:
        said = list(_said(load_object(body[:LIMIT], limit=LIMIT)))
    except ValueError:
        said = [_MARKUP.sub(" ", body[:LIMIT].decode(errors="replace"))]
    shown = (_shown(text, secrets) for text in said[:MOST])
    return tuple(dict.fromkeys(text for text in shown if text))


def _said(document: Mapping[str, Any]) -> Iterator[str]:
    errors = document.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, Mapping):
            yield ": ".join(filter(None, (_text(error.get(key)) for key in ("code", "message", "detail"))))
        elif isinstance(error, str):
            yield error
    if not errors:
        yield ": ".join(
            filter(None, (_text(document.get(key)) for key in ("error", "error_description", "message", "details")))
        )


def _text(value: object) -> str:
    """A value of any kind in one line; of a mapping its single values."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text}" for key, item in value.items() if (text := _text(item)))
    if isinstance(value, list):
        return "; ".join(filter(None, map(_text, value[:MOST])))
    return "" if value is None or isinstance(value, bool) else str(value)


def _shown(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
