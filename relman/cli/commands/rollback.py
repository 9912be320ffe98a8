"""relman rollback -e ENV: return to the previous proven release, without registry and checkout."""

from __future__ import annotations

import click

from relman.app.deployments.rehearse import open_rehearsal
from relman.app.deployments.rollback import open_rollback
from relman.app.environments import Request
from relman.cli.dialog import ask_and_carry_out
from relman.cli.options import environment_options, gathered, rollout_options
from relman.cli.output.progress import Screen
from relman.cli.output.rehearsal_view import show_rehearsal
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError


@verb("rollback")
@environment_options
@rollout_options
@click.option("--to", "release", metavar="RELEASE", help="The release to go back to; every host must remember it.")
@click.option("--force", is_flag=True, help="With --yes: roll back past tasks that are not marked rollback_safe, too.")
@click.option("--keep-secrets", is_flag=True, help="Keep the values of secrets that serve now.")
@click.option("--rehearse", is_flag=True, help="Start the release beside what serves, see it healthy, and remove it.")
@gathered(Request, "request")
def rollback(
    context: CommandContext,
    request: Request,
    plan_only: bool,
    yes: bool,
    release: str | None,
    force: bool,
    keep_secrets: bool,
    rehearse: bool,
) -> None:
    """Roll back to the newest earlier release that was proven good.

    It gets its own settings.

    Every host remembers its own releases. If the hosts do not agree, nothing changes, each host's release is shown, and
    --to selects one.

    If that goes back past a task (deploy.tasks) that is not marked rollback_safe, the question says so, and --yes alone
    does not answer it.

    The release gets the values that its secrets had. If they differ from those that serve now, the plan names them;
    --keep-secrets keeps those that serve.

    With --rehearse nothing that serves changes: on every host (--max-unavailable: on so many at once) the release is
    started beside it, without ports and routes, and removed when it is healthy. What must not run twice is named and
    not started. It ends with 13 if a host is not ready.
    """
    if rehearse:
        if plan_only or force:
            other = "--plan" if plan_only else "--force"
            raise UsageError(f"--rehearse changes nothing that serves, and does not go together with {other}")
        _rehearse(context, request, release, keep_secrets=keep_secrets)
        return
    may_cross = force or plan_only or not yes
    with open_rollback(context, request, release, may_cross=may_cross, keep_secrets=keep_secrets) as rollback:
        ask_and_carry_out(context, rollback, plan_only=plan_only, yes=yes)


def _rehearse(context: CommandContext, request: Request, release: str | None, *, keep_secrets: bool) -> None:
    with open_rehearsal(context, request, release, keep_secrets=keep_secrets) as rehearsal:
        screen = Screen(context.output)
        with screen.showing([h.name for h in rehearsal.fleet.environment.hosts]):
            report = rehearsal.carry_out(screen)
        show_rehearsal(context.output, report)
        if report.error:
            raise report.error
