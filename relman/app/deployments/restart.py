"""Restart what serves, wave by wave, without registry and checkout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from relman.app.context import Context
from relman.app.deployments.rollouts import Rollout, chosen_of, require_all, require_known
from relman.app.environments import Request
from relman.app.factories import login_of
from relman.model.plan import Observed, Plan
from relman.rollout.fleet import Fleet
from relman.rollout.operation import Operation
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import Asked
from relman.rollout.planning.restart import plan_restart


@contextmanager
def open_restart(context: Context, request: Request) -> Iterator[Rollout]:
    """A restart, with the hosts connected. Raises what prevents it."""
    selected, asked = chosen_of(context, request)
    source = selected.environment.services.get(asked.service)
    operation = Operation(
        asked=asked,
        plan=partial(_plan, asked),
        message=f"restarting {asked.service}",
        login=login_of(context, source) if source else None,
        wait_lock=request.wait_lock,
    )
    with Fleet(selected.environment, asked.service) as fleet:
        require_all(fleet)
        require_known(fleet, asked)
        yield Rollout(context, fleet, operation)


def _plan(asked: Asked, seen: Sequence[Observed]) -> Plan:
    plan = plan_restart(asked, seen)
    preflight.check(plan, seen, None)
    return plan
