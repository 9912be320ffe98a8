"""relman recover -e ENV: finish or undo an interrupted deployment."""

from __future__ import annotations

import click

from relman.app.deployments.recover import open_recovery
from relman.app.environments import Request
from relman.cli.dialog import recap_and_raise
from relman.cli.options import environment_options, exclude_options, gathered
from relman.cli.output.progress import Screen
from relman.cli.verb import CommandContext, verb


@verb("recover")
@environment_options
@exclude_options
@click.option("--finish/--undo", default=None, help="Decide yourself; by default what the hosts show decides.")
@gathered(Request, "request")
def recover(
    context: CommandContext,
    request: Request,
    finish: bool | None,
) -> None:
    """Finish or undo an interrupted deployment.

    Hosts that serve nothing come first; then the deployment is finished, or what ran before is restored.
    """
    screen = Screen(context.output)
    with open_recovery(context, request) as recovery:
        with screen.showing([h.name for h in recovery.fleet.environment.hosts]):
            report = recovery.carry_out(screen, finish=finish)
        recap_and_raise(context, report)
