"""relman logs -e ENV: the service's logs of all hosts, merged by time."""

from __future__ import annotations

from dataclasses import asdict

import click

from relman.app.environments import Request
from relman.app.looking.log_selection import LogSelection
from relman.app.looking.logs import LogLine, open_logs
from relman.cli.options import environment_options, gathered, hosts_options
from relman.cli.output.printer import Output
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError

_DEFAULT = 100
_ALL = 100_000  # which is as many as are read of one container


@verb("logs")
@environment_options
@hosts_options("--limit")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(min=0),
    metavar="N",
    help="The last N lines of each container. Default: 100, or with --since, --until or --grep all of those.",
)
@click.option("--since", metavar="TIME", help="From then on: a time, or how long ago (90s, 15m, 2h30m, 1d).")
@click.option("--until", metavar="TIME", help="Until then; as --since.")
@click.option("--grep", metavar="REGEX", help="Only lines in which this regular expression (Python's) is found.")
@click.option("--process", metavar="NAME", help="Only of this process of the service.")
@click.option(
    "--proxy", is_flag=True, help="The requests to the service, a line of JSON each, as the hosts' proxies saw them."
)
@click.option("-f", "--follow", is_flag=True, help="Follow new lines, across deployments too.")
@gathered(Request, "request")
@gathered(LogSelection, "selection")
def logs(
    context: CommandContext,
    request: Request,
    selection: LogSelection,
    tail: int | None,
    process: str | None,
    proxy: bool,
    follow: bool,
) -> None:
    """Show the logs of what serves on every host, merged by time.

    If nothing serves on a host, the logs of what served last. With --service all those of every service of the
    environment. With --proxy the requests to it: time, client, method, host, path, status, container and times; never a
    query, a cookie or a password.
    """
    if follow and selection.until is not None:
        raise UsageError("--until and --follow exclude each other: give one of them")
    if proxy and process:
        raise UsageError("--proxy and --process exclude each other: one process is behind the proxy")
    most = tail if tail is not None else _ALL if selection else _DEFAULT
    with open_logs(context, request, most, process, selection, proxy=proxy) as found:
        for line in found.latest():
            _show(context.output, line)
        if follow:
            for line in found.follow():
                _show(context.output, line)
    found.require_all()


def _show(output: Output, line: LogLine) -> None:
    output.json("log", asdict(line))
    who = " ".join(filter(None, (line.host, line.service, line.process)))
    output.line(f"{who}  {line.at[:23]}  {line.text}")
