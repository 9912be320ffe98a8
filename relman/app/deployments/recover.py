"""Finish or undo an interrupted deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.deployments.rollouts import chosen_of, record, require_all, require_known, shielded
from relman.app.environments import Request
from relman.model.formats.clock import timestamp
from relman.rollout import recover as recovery
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.planning.planner import Asked
from relman.rollout.progress import Report


@dataclass(frozen=True)
class Recovery:
    """A recovery whose hosts are connected; nothing changes until it is carried out."""

    context: Context
    fleet: Fleet
    asked: Asked
    wait_lock: float

    def carry_out(self, watcher: Watcher, *, finish: bool | None = None) -> Report:
        """First restore service on hosts that serve nothing; then finish or undo, by what the hosts show or as `finish`
        says.

        Raises RelmanError if nothing was changed; otherwise the report contains the error.
        """
        started = timestamp()
        report = shielded(
            lambda cancel: recovery.recover(self.fleet, self.asked, watcher, cancel, finish, self.wait_lock)
        )
        record(self.context, report, started, self.asked.reason)
        return report


@contextmanager
def open_recovery(context: Context, request: Request) -> Iterator[Recovery]:
    """A recovery, with the hosts connected. Raises what prevents it."""
    selected, asked = chosen_of(context, request)
    with Fleet(selected.environment, asked.service) as fleet:
        require_all(fleet)
        require_known(fleet, asked)
        yield Recovery(context, fleet, asked, request.wait_lock)
