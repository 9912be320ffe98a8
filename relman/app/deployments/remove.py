"""Remove a service from its hosts; its volumes stay."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.deployments.rollouts import chosen_of, record, shielded
from relman.app.environments import Request
from relman.model.formats.clock import timestamp
from relman.rollout import remove as removal
from relman.rollout.fleet import Fleet, Watcher
from relman.rollout.planning.planner import Asked
from relman.rollout.progress import Report
from relman.rollout.remove import Removal
from relman.rollout.state.locks import Patience


@dataclass(frozen=True)
class Removing:
    """A removal whose hosts are connected; nothing changes until it is carried out."""

    context: Context
    fleet: Fleet
    asked: Asked
    wait_lock: float

    def preview(self) -> Sequence[Removal]:
        """What would be removed from every host now, and what stays."""
        return removal.preview(self.fleet, self.asked)

    def carry_out(self, watcher: Watcher) -> Report:
        """Remove the service, and record it in the history.

        Raises RelmanError if nothing was changed; otherwise the report contains the error.
        """
        started = timestamp()

        def work(cancel: threading.Event) -> Report:
            return removal.remove(self.fleet, self.asked, watcher, Patience(self.wait_lock, cancel))

        report = shielded(work)
        record(self.context, report, started, self.asked.reason)
        return report


@contextmanager
def open_removal(context: Context, request: Request) -> Iterator[Removing]:
    """A removal, with the hosts connected. Raises what prevents it."""
    selected, asked = chosen_of(context, request)
    with Fleet(selected.environment, asked.service) as fleet:
        fleet.require_all()
        yield Removing(context, fleet, asked, request.wait_lock)
