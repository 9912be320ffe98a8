"""How many hosts change at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relman.model.plan import Step
from relman.rollout.planning.replacement_order import turns

ONE, QUARTER = "1", "25%"


@dataclass(frozen=True)
class Most:
    """A count of hosts, or a share of them; `why` is why the default is this, "" where somebody said it."""

    value: str
    why: str = ""


def most_of(said: str | None, steps: Sequence[Step]) -> Most:
    """What was said; else a quarter of the hosts where the old container of every process serves until the new one
    does, or one host where one has to stop first."""
    if said:
        return Most(said)
    found = next(filter(None, map(_stops_first, steps)), "")
    return Most(ONE, found) if found else Most(QUARTER, "every process starts first")


def _stops_first(step: Step) -> str:
    """The process of this step whose old container stops before the new one starts, now or if it were replaced by
    itself, and why; "" if none does."""
    settings = step.entry.settings
    itself = turns(settings, settings, [part.name for part in settings.parts])
    return next(
        (f"{', '.join(filter(None, t.processes)) or 'it'} stops first ({t.why})" for t in (*step.turns, *itself)), ""
    )
