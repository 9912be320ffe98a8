"""Rolling: one host first, then the rest in batches."""

from __future__ import annotations

from collections.abc import Sequence

from relman.model.plan import Step, Wave
from relman.model.strategy import Strategy
from relman.rollout.planning.strategies.batches import EVERYONE, batches


def waves(steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
    """The first host alone, the rest in batches; where there are none, `most` is their size, and a `most` of `100%` is
    one wave of all, without the first alone."""
    if not strategy.batches and most == EVERYONE:
        return batches(steps, (EVERYONE,), most, of=len(steps))
    first = batches(steps[:1], ("1",), "1", pause=strategy.pause, of=len(steps))
    sizes = strategy.batches or (most,)
    return first + batches(steps[1:], sizes, most, pause=strategy.pause, of=len(steps))
