"""relman exec -e ENV -- CMD: a command in the running container of one host."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.deployments.run_command import open_command
from relman.app.environments import Request
from relman.cli.console import relay
from relman.cli.exits import Exit
from relman.cli.options import environment_options, gathered, hosts_options
from relman.cli.verb import CommandContext, verb
from relman.local.terminal import has_terminal


@verb("exec", failure=Exit.NOT_RUN)
@environment_options
@hosts_options("--limit")
@click.option("--process", metavar="NAME", help="In this process of the service; by default in its first.")
@click.option(
    "--new", is_flag=True, help="In a new container with the service's settings and secrets, removed afterwards."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@gathered(Request, "request")
def exec(context: CommandContext, request: Request, process: str | None, new: bool, command: Sequence[str]) -> None:
    """Run a command in the running container of one host.

    That is the first host on which the service runs; --only names another. Write -- before the command. It gets a
    terminal if there is one, else what is piped in, and is run without a shell. Ctrl-C without a terminal ends relman
    alone: the engine cannot end the command.

    The exit code is the command's; 125 says that relman could not run it. The host's journal names who ran which
    program, without its arguments.

    With --new it is run in a new container of the release that serves there, which has its volumes, networks and
    secrets, and not its ports; its ENTRYPOINT gets the command as arguments. Ctrl-C ends the command. If relman dies,
    its input ends, and the engine removes the container once the command has ended.
    """
    with open_command(context, request, process, new=new) as place:
        terminal = has_terminal()
        if terminal:
            context.output.note(f"{place.session.host.name}: {place.name}")
        code = place.run(command, relay, terminal=terminal)
    raise click.exceptions.Exit(code)
