"""relman deploy TAG -e ENV: deploy a release to every host of an environment."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.deployments.deploy import open_deployment
from relman.app.environments import Request
from relman.cli.dialog import ask_and_carry_out
from relman.cli.options import environment_options, gathered, rollout_options, skip_option
from relman.cli.verb import CommandContext, verb


@verb("deploy")
@click.argument("tag")
@environment_options
@rollout_options
@skip_option
@click.option(
    "--new-volume",
    "new_volumes",
    multiple=True,
    metavar="NAME",
    help="Make this volume, empty, although the host has a PROJECT_NAME. May be repeated.",
)
@click.option(
    "--adopt",
    multiple=True,
    metavar="CONTAINER",
    help="Put the service in the place of this container, which relman did not make. May be repeated.",
)
@gathered(Request, "request")
def deploy(
    context: CommandContext,
    tag: str,
    request: Request,
    plan_only: bool,
    yes: bool,
    skip_gates: Sequence[str],
) -> None:
    """Deploy a release: exactly the image that was tested.

    One host after the other, as relman.yml says.
    """
    with open_deployment(context, request, tag, skip_gates) as deployment:
        ask_and_carry_out(context, deployment, plan_only=plan_only, yes=yes)
