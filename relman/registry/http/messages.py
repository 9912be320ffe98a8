"""A request to a registry, and its response."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from relman.registry.http.challenge import Scope

_WAIT_DIGITS = 6
_DATE_LENGTH = 40


@dataclass(frozen=True)
class HttpRequest:
    """One request. `url` is a path or an absolute URL; `limit` bounds the response's body in bytes; with `once` it is
    not retried here, because only the caller can repeat it."""

    method: str
    url: str
    scope: Scope
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    limit: int = 1 << 20
    once: bool = False

    @property
    def asked(self) -> str:
        """The method and path, for errors; without the query, which may contain a secret."""
        path = "".join(c for c in self.url.partition("?")[0] if c.isprintable())
        return f"{self.method} {path[:300]}"


@dataclass(frozen=True)
class Answer:
    """One response, read to its end. Header names are compared without case. `reasons` are the registry's, if it
    refused."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reasons: tuple[str, ...] = ()


def seconds_of(wait: str) -> float:
    """The seconds that a Retry-After asks to wait, given as a number or a date; 0 if it is malformed
    (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)."""
    if wait[:_WAIT_DIGITS].isdecimal():
        return float(wait[:_WAIT_DIGITS])
    try:
        return max(0.0, round(parsedate_to_datetime(wait[:_DATE_LENGTH]).timestamp() - time.time()))
    except (ValueError, OverflowError, OSError):
        return 0.0
