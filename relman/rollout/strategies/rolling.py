"""Rolling: one host first, then the rest in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relman.model.plan import Step


def batch_size(max_unavailable: str, hosts: int) -> int:
    """How many of `hosts` may change at once: a count ("2") or a share, rounded down but at least one ("25%")."""
    if max_unavailable.endswith("%"):
        return max(1, math.floor(hosts * float(max_unavailable[:-1]) / 100))
    return max(1, int(max_unavailable))


def waves(steps: Sequence[Step], max_unavailable: str) -> tuple[tuple[Step, ...], ...]:
    """Divide `steps`: the first alone, the rest in batches; `100%` is one wave of all, without the first alone."""
    if max_unavailable == "100%":
        return (tuple(steps),) if steps else ()
    size = batch_size(max_unavailable, len(steps))
    rest = steps[1:]
    batches = [tuple(rest[i : i + size]) for i in range(0, len(rest), size)]
    return (tuple(steps[:1]), *batches) if steps else ()
