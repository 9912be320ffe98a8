"""A plan in progress, and the report of its end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.errors import Cancelled, RelmanError
from relman.model.plan import Observed, Outcome, Plan
from relman.model.proxy import Users
from relman.model.state_dir.journal import Failed
from relman.rollout.conclusion import Happened, conclude
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.proxy.counting import Counting
from relman.rollout.state.journal import Journal
from relman.rollout.steps import Change


@dataclass(frozen=True)
class Report:
    """How a plan ended: one outcome for each host, the error to end with (None on success), and the failures by host as
    the journals contain them; `users` is what users saw meanwhile, where that was counted."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    error: RelmanError | None = None
    told: Mapping[str, Failed] = field(default_factory=dict)
    users: Users | None = None


def report_of(happened: Happened) -> Report:
    """The report of what happened. Pure."""
    return Report(happened.plan, happened.outcomes, conclude(happened), happened.told, happened.users)


@dataclass
class Work:
    """A plan in progress.

    `images` are the local references of each host's image; `changed` are the hosts whose step succeeded; `tasks` have
    started, and `unsafe` are those of them that are not marked rollback_safe; `counting` goes on while hosts change,
    and `users` is what users saw in the end.
    """

    plan: Plan
    fleet: Fleet
    seen: Mapping[str, Observed]
    watcher: Watcher
    cancel: threading.Event
    journal: Journal
    images: Mapping[str, str] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    failures: dict[str, RelmanError] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)
    counting: Counting = field(init=False)
    users: Users | None = None

    @property
    def whole(self) -> bool:
        """Whether every step succeeded and nothing failed."""
        return not self.failures and len(self.changed) == len(self.plan.steps)

    @property
    def cancelled(self) -> bool:
        """Whether a person stopped it."""
        return self.cancel.is_set() or any(isinstance(e, Cancelled) for e in self.failures.values())
