"""relman restart -e ENV: new containers of what serves, wave by wave."""

from __future__ import annotations

from relman.app.deployments.restart import open_restart
from relman.app.environments import Request
from relman.cli.dialog import ask_and_carry_out
from relman.cli.options import environment_options, gathered, rollout_options
from relman.cli.verb import CommandContext, verb


@verb("restart")
@environment_options
@rollout_options
@gathered(Request, "request")
def restart(context: CommandContext, request: Request, plan_only: bool, yes: bool) -> None:
    """Restart what serves, wave by wave, as it is.

    New containers of the same release, with the same settings and secrets, replace the old ones as in a deployment. If
    they do not become healthy, the old ones serve again. No task and no hook runs, and a rollback returns to what it
    would have returned to before.
    """
    with open_restart(context, request) as rollout:
        ask_and_carry_out(context, rollout, plan_only=plan_only, yes=yes)
