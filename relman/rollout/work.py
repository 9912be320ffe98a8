"""A plan under way, and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.errors import Cancelled, RelmanError
from relman.model.plan import Observed, Outcome, Plan
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.steps import Change

NO_HOST = ""  # the key of a failure that is no host's own


@dataclass(frozen=True)
class Report:
    """How a plan ended: one outcome a host, and the error to end with (None when all is done)."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    error: RelmanError | None = None


@dataclass
class Work:
    """A plan under way. `images` are the local references of each host's image; `changed` are the hosts whose step came
    to its end, `unsafe` the tasks that began and that the release before may not be able to live with."""

    plan: Plan
    fleet: Fleet
    seen: Mapping[str, Observed]
    watcher: Watcher
    cancel: threading.Event
    images: Mapping[str, str] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    failures: dict[str, RelmanError] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    unsafe: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every step came to its end, and nothing failed."""
        return not self.failures and len(self.changed) == len(self.plan.steps)

    @property
    def cancelled(self) -> bool:
        """Whether a person stopped it."""
        return self.cancel.is_set() or any(isinstance(e, Cancelled) for e in self.failures.values())
