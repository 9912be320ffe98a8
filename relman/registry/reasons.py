"""A registry's reasons for refusing, cleaned for display.

Specification: OCI distribution-spec 1.1, Error Codes
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from relman.registry.strictjson import load_object

MOST = 5
LONGEST = 300
LIMIT = 1 << 16
"""The number of bytes of a response that are searched for reasons."""
_SHORTEST_SECRET = 4
_MARKUP = re.compile(r"<[^<>]{0,1000}>")


def reasons_in(body: bytes, secrets: Collection[str] = ()) -> tuple[str, ...]:
    """The reasons in the body of a refusal, at most MOST lines of LONGEST characters, with `secrets` masked.

    A body that is not JSON comes from a proxy in front of the registry: the text of its page is returned.
    """
    try:
        messages = list(_messages(load_object(body[:LIMIT], limit=LIMIT)))
    except ValueError:
        messages = [_MARKUP.sub(" ", body[:LIMIT].decode(errors="replace"))]
    shown = (_shown(text, secrets) for text in messages[:MOST])
    return tuple(dict.fromkeys(text for text in shown if text))


def _messages(document: Mapping[str, Any]) -> Iterator[str]:
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
    """A JSON value on one line."""
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
