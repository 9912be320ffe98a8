"""Conditions in HAProxy's configuration that any of many values meets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relman.rollout.proxy import words

HOST = "hdr(host),field(1,:) -i"
"""What is compared with host names."""
_MOST = 40  # HAProxy reads 64 words of a line


def acl(name: str, compared: str, values: Sequence[str]) -> Iterator[str]:
    """Name the condition. Lines of one name add up."""
    for at in range(0, len(values), _MOST):
        yield f"  acl {name} {compared} {' '.join(map(words.word, values[at : at + _MOST]))}"
