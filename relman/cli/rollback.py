"""relman rollback -e ENV: back to the release before, proven good; no registry, no checkout."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import click

from relman.cli import fleets
from relman.cli.compose import login_of
from relman.cli.environments import open_selected, service_of
from relman.cli.options import environment_options, rollout_options
from relman.cli.verb import Context, verb
from relman.model.plan import Observed, Plan
from relman.rollout.fleet import Fleet
from relman.rollout.operation import Operation
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import plan_rollback


@verb("rollback")
@environment_options
@rollout_options
@click.option("--to", "release", metavar="RELEASE", help="The release to go back to; every host must remember it.")
@click.option("--force", is_flag=True, help="With --yes: roll back past tasks that are not marked rollback_safe, too.")
def rollback(
    context: Context,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    reason: str | None,
    wait_lock: float,
    max_unavailable: str | None,
    plan_only: bool,
    yes: bool,
    release: str | None,
    force: bool,
) -> None:
    """Roll back to the newest earlier release that was proven good.

    It gets its own settings.

    Every host remembers its own. Where they do not agree, nothing changes, each host's release is shown, and --to says
    which one is meant.

    Where that goes back over a task (deploy.tasks) that is not marked rollback_safe, the question says so, and --yes
    alone does not answer it.
    """
    selected = open_selected(context, environment, inventories, only, exclude, reason)
    chosen = selected.environment
    name = service_of(chosen, service)
    asked = fleets.new_asked(name, chosen, max_unavailable, selected.left_out, reason)

    source = chosen.services.get(name)

    def plan(seen: Sequence[Observed]) -> Plan:
        made = plan_rollback(asked, seen, release)
        preflight.check(made, seen, None)
        if yes and not (force or plan_only):
            preflight.check_crossing(made)
        return made

    def make(cancel: threading.Event, screen: fleets.Screen, planned: Callable[[Plan], None]) -> Operation:
        return Operation(
            asked=asked,
            plan=plan,
            message=f"rolling back {name}",
            watcher=screen,
            cancel=cancel,
            planned=planned,
            login=login_of(context, source) if source else None,
            wait_lock=wait_lock,
        )

    with Fleet(chosen, name) as fleet:
        fleets.require_all(fleet)
        fleets.require_known(fleet, asked)
        fleets.carry_out(context, fleet, make, plan_only=plan_only, yes=yes, note=asked.reason)
