"""Canary: a few hosts first, which are watched and checked; then the rest in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relman.model.plan import Step, Wave
from relman.model.strategy import Strategy
from relman.rollout.planning.strategies.batches import batch_size, batches, checks_of


def waves(steps: Sequence[Step], strategy: Strategy, most: str) -> tuple[Wave, ...]:
    """The canaries, with the bake and the checks in their last wave; then the rest in batches."""
    chosen = canaries(steps, strategy)
    rest = [s for s in steps if s not in chosen]
    first = tuple(replace(w, canary=True) for w in batches(chosen, (most,), most, of=len(steps)))
    if first:
        first = (*first[:-1], replace(first[-1], bake=strategy.bake, checks=checks_of(chosen), pause=strategy.pause))
    return first + batches(rest, strategy.batches or (most,), most, pause=strategy.pause, of=len(steps))


def canaries(steps: Sequence[Step], strategy: Strategy) -> tuple[Step, ...]:
    """The named hosts among those that change, or else the first ones."""
    if strategy.hosts:
        return tuple(s for s in steps if s.host in strategy.hosts)
    return tuple(steps[: batch_size(strategy.count, len(steps))])
