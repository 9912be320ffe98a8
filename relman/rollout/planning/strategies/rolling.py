"""Rolling: one host first, then the rest in batches."""

from __future__ import annotations

from collections.abc import Sequence

from relman.model.plan import Step, Wave
from relman.model.strategy import Strategy
from relman.rollout.planning.strategies.batches import EVERYONE, batches


def waves(steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
    """The first host alone, then the rest in batches, by default of the size `most`; if that is `100%`, all in one
    wave."""
    if not strategy.batches and most == EVERYONE:
        return batches(steps, (EVERYONE,), most, of=len(steps))
    first = batches(steps[:1], ("1",), "1", pause=strategy.pause, of=len(steps))
    sizes = strategy.batches or (most,)
    return first + batches(steps[1:], sizes, most, pause=strategy.pause, of=len(steps))
