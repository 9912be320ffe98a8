"""relman maintenance on|off -e ENV: let the proxies answer in the place of a service."""

from __future__ import annotations

import click

from relman.app.deployments.proxies import open_proxies
from relman.app.environments import Request, service_of
from relman.cli.commands.proxy import tell
from relman.cli.options import environment_options, gathered, hosts_options
from relman.cli.verb import CommandContext, verb


@verb("maintenance")
@click.argument("what", type=click.Choice(["on", "off"]))
@environment_options
@hosts_options("--limit")
@click.option("--reason", metavar="TEXT", help="Why hosts are excluded.")
@gathered(Request, "request")
def maintenance(context: CommandContext, what: str, request: Request) -> None:
    """Let the proxies answer in the place of a service, or no longer.

    Its containers go on, and deployments do not end it. Clients get 503, with the page that the inventory names
    (relman_proxy).
    """
    with open_proxies(context, request) as proxies:
        service = service_of(proxies.fleet.environment, request.service)
        tell(context, proxies.maintain(service, on=what == "on"))
