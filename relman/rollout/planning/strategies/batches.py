"""What the strategies share: sizes, and the division of hosts into batches. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from relman.model.plan import Step, Wave
from relman.model.strategy import Check, Strategy

EVERYONE = "100%"


class Divide(Protocol):
    """A strategy: divide `steps` into waves, none larger than `most` (max_unavailable)."""

    def __call__(self, steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
        """The waves, in order; each step is in exactly one."""


def batch_size(text: str, hosts: int) -> int:
    """The number of hosts: a count ("2"), or a share of `hosts`, rounded down but at least one ("25%")."""
    if text.endswith("%"):
        return max(1, math.floor(hosts * float(text[:-1]) / 100))
    return max(1, int(text))


def batches(steps: Sequence[Step], sizes: Sequence[str], most: str, *, pause: float = 0.0, of: int) -> tuple[Wave, ...]:
    """Divide `steps` into waves of these sizes, the last size repeated, none larger than `most`; shares are `of` that
    many hosts."""
    cap, found, at = batch_size(most, of), list[Wave](), 0
    while at < len(steps):
        size = min(cap, batch_size(sizes[min(len(found), len(sizes) - 1)], of))
        found.append(Wave(tuple(steps[at : at + size]), pause))
        at += size
    return tuple(found)


def checks_of(steps: Sequence[Step]) -> tuple[Check, ...]:
    """The checks in the settings of these hosts, equal ones once."""
    return tuple(dict.fromkeys(c for s in steps if (c := s.entry.settings.strategy.check)))
