"""Rehearse a rollback, without registry and checkout, and without touching what serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from relman.app.context import Context
from relman.app.deployments.rollouts import chosen_of, require_all, require_known, shielded
from relman.app.environments import Request
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.planning.planner import Asked
from relman.rollout.planning.rehearsal import plan_rehearsal
from relman.rollout.rehearsal.rehearse import RehearsalReport, rehearse
from relman.rollout.state.locks import Patience


@dataclass(frozen=True)
class OpenRehearsal:
    """A rehearsal whose hosts are connected; nothing is started until it is carried out."""

    fleet: Fleet
    asked: Asked
    release: str | None
    keep_secrets: bool
    wait_lock: float

    def carry_out(self, watcher: Watcher) -> RehearsalReport:
        """Carry it out. Raises RelmanError if nothing was started; otherwise the report contains the error."""
        plan = partial(plan_rehearsal, self.asked, release=self.release, keep_secrets=self.keep_secrets)
        return shielded(
            lambda cancel: rehearse(self.fleet, self.asked, plan, watcher, cancel, Patience(self.wait_lock, cancel))
        )


@contextmanager
def open_rehearsal(
    context: Context, request: Request, release: str | None = None, *, keep_secrets: bool = False
) -> Iterator[OpenRehearsal]:
    """A rehearsal of the rollback to `release`, or to each host's own previous one, with the hosts connected. Raises
    what prevents it."""
    selected, asked = chosen_of(context, request)
    with Fleet(selected.environment, asked.service) as fleet:
        require_all(fleet)
        require_known(fleet, asked)
        yield OpenRehearsal(fleet, asked, release, keep_secrets, request.wait_lock)
