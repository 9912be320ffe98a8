"""Roll back to the previous proven release, without registry and checkout."""

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
from relman.rollout.planning.planner import Asked, plan_rollback


@contextmanager
def open_rollback(
    context: Context,
    request: Request,
    release: str | None = None,
    *,
    may_cross: bool = True,
    keep_secrets: bool = False,
) -> Iterator[Rollout]:
    """A rollback to `release`, or to each host's own previous one, with the hosts connected.

    Without `may_cross` it is refused if it goes back past a task that is not marked rollback_safe. With `keep_secrets`
    the release gets the values of secrets that serve now. Raises what prevents it.
    """
    selected, asked = chosen_of(context, request)
    chosen = selected.environment
    source = chosen.services.get(asked.service)
    operation = Operation(
        asked=asked,
        plan=partial(_plan, asked, release, may_cross, keep_secrets),
        message=f"rolling back {asked.service}",
        login=login_of(context, source) if source else None,
        wait_lock=request.wait_lock,
    )
    with Fleet(chosen, asked.service) as fleet:
        require_all(fleet)
        require_known(fleet, asked)
        yield Rollout(context, fleet, operation)


def _plan(asked: Asked, release: str | None, may_cross: bool, keep_secrets: bool, seen: Sequence[Observed]) -> Plan:
    plan = plan_rollback(asked, seen, release, keep_secrets=keep_secrets)
    preflight.check(plan, seen, None)
    if not may_cross:
        preflight.check_crossing(plan)
    return plan
