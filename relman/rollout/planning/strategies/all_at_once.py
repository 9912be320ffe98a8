"""All at once: every host in one wave."""

from __future__ import annotations

from collections.abc import Sequence

from relman.model.plan import Step, Wave
from relman.model.strategy import Strategy
from relman.rollout.planning.strategies.batches import EVERYONE, batches


def waves(steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
    """One wave, or as many as `most` requires."""
    return batches(steps, (EVERYONE,), most, pause=strategy.pause, of=len(steps))
