"""relman recover -e ENV: finish or undo what was interrupted."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.cli import fleets
from relman.cli.compose import timestamp
from relman.cli.environments import open_selected, service_of
from relman.cli.options import environment_options, exclude_options
from relman.cli.verb import Context, verb
from relman.rollout import recover as recovery
from relman.rollout.fleet import Fleet


@verb("recover")
@environment_options
@exclude_options
@click.option("--finish/--undo", default=None, help="Decide yourself; by default what the hosts show decides.")
def recover(
    context: Context,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    reason: str | None,
    wait_lock: float,
    finish: bool | None,
) -> None:
    """Finish or undo an interrupted deployment.

    Hosts that serve nothing are served first; then it is finished, or what ran before is put back.
    """
    chosen = open_selected(context, environment, inventories, only, exclude, reason).environment
    name = service_of(chosen, service)
    asked = fleets.new_asked(name, chosen, reason=reason)
    screen = fleets.Screen(context.output)
    started = timestamp()
    with Fleet(chosen, name) as fleet:
        fleets.require_all(fleet)
        fleets.require_known(fleet, asked)
        with screen.showing([h.name for h in chosen.hosts]):
            report = fleets.shielded(lambda cancel: recovery.recover(fleet, asked, screen, cancel, finish, wait_lock))
        fleets.finish(context, report, started, asked.reason)
