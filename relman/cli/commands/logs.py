"""relman logs -e ENV: the service's logs of all hosts, merged by time."""

from __future__ import annotations

from dataclasses import asdict

import click

from relman.app.environments import Request
from relman.app.looking.logs import LogLine, open_logs
from relman.cli.options import environment_options, gathered, hosts_options
from relman.cli.output.printer import Output
from relman.cli.verb import CommandContext, verb


@verb("logs")
@environment_options
@hosts_options("--limit")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Lines of each container.",
)
@click.option("--process", metavar="NAME", help="Only of this process of the service.")
@click.option("-f", "--follow", is_flag=True, help="Follow new lines, across deployments too.")
@gathered(Request, "request")
def logs(context: CommandContext, request: Request, tail: int, process: str | None, follow: bool) -> None:
    """Show the logs of what serves on every host, merged by time.

    If nothing serves on a host, the logs of what served last.
    """
    with open_logs(context, request, tail, process) as found:
        for line in found.latest():
            _show(context.output, line)
        if follow:
            for line in found.follow():
                _show(context.output, line)
    found.require_all()


def _show(output: Output, line: LogLine) -> None:
    output.json("log", asdict(line))
    who = f"{line.host} {line.process}" if line.process else line.host
    output.line(f"{who}  {line.at[:23]}  {line.text}")
