"""Blue/green: old and new containers run on every host, and one switch is between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relman.model.plan import Step, Wave
from relman.model.strategy import Strategy
from relman.rollout.planning.strategies.batches import EVERYONE, batches, checks_of


def waves(steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
    """One wave, or as many as `most` requires, in which both run; not for long where nothing ran before."""
    return tuple(
        replace(
            wave, both=True, bake=strategy.bake if any(s.old for s in wave.steps) else 0.0, checks=checks_of(wave.steps)
        )
        for wave in batches(steps, (EVERYONE,), most, of=len(steps))
    )
