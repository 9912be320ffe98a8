"""A request to a registry, and the answer to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from relman.registry.challenge import Scope

_WAIT_DIGITS = 6
_DATE_LENGTH = 40


@dataclass(frozen=True)
class Request:
    """One request. `url` is a path or an absolute URL; `limit` bounds the answer's body in bytes; `once` when only
    the caller knows how to repeat it."""

    method: str
    url: str
    scope: Scope
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    limit: int = 1 << 20
    once: bool = False

    @property
    def asked(self) -> str:
        """What is asked for, in an error's words: without a query, which may hold what is not to be shown."""
        path = "".join(c for c in self.url.partition("?")[0] if c.isprintable())
        return f"{self.method} {path[:300]}"


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end. Header names compare without case. `reasons` are the registry's own for refusing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reasons: tuple[str, ...] = ()


def seconds_of(wait: str) -> float:
    """The seconds that a Retry-After (RFC 9110, 10.2.3) asks to wait, in a number or until a date; 0 for nonsense."""
    if wait[:_WAIT_DIGITS].isdecimal():
        return float(wait[:_WAIT_DIGITS])
    try:
        return max(0.0, round(parsedate_to_datetime(wait[:_DATE_LENGTH]).timestamp() - time.time()))
    except (ValueError, OverflowError, OSError):
        return 0.0
