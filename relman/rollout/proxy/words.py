"""What may stand in HAProxy's configuration: every value that is written matches a pattern here, whoever said it, so
that none can end its word or its line. All raise ConfigError."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from relman.model.errors import ConfigError, Problem

_WORD = re.compile(r"[A-Za-z0-9._~/?=&+,:;@*%-]+")
_HEADER = re.compile(r"[A-Za-z0-9._~/?=&+,:;@*-]+")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?")
HOST = "hdr(host),field(1,:) -i"
"""What is compared with host names."""
_MOST = 40  # HAProxy reads 64 words of a line
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def word(value: str) -> str:
    """A word: a name, an address, a path."""
    return _matching(_WORD, value)


def header(value: str) -> str:
    """A header's value, which HAProxy reads as a format: % would be special."""
    return _matching(_HEADER, value)


def token(value: str) -> str:
    """A token of an ACME authority, or the answer to it (RFC 8555, section 8.1): base64url, and a dot between."""
    return _matching(_TOKEN, value)


def line(value: str) -> str:
    """A line that an environment writes itself."""
    return _matching(_LINE, value)


def acl(name: str, compared: str, values: Sequence[str]) -> Iterator[str]:
    """The lines that name a condition, which any of the values meets: those of one name add up."""
    for at in range(0, len(values), _MOST):
        yield f"  acl {name} {compared} {' '.join(map(word, values[at : at + _MOST]))}"


def milliseconds(seconds: float) -> str:
    """A time."""
    return f"{max(1, round(seconds * 1000))}ms"


def unsayable(what: str) -> ConfigError:
    """The error of something that the configuration has no place for."""
    return ConfigError([Problem("the proxy's configuration", 0, 0, "", what)])


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise unsayable(f"{value!r} cannot stand in it")
    return value
