"""relman proxy apply|status|remove -e ENV: the proxy on each host."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from relman.app.deployments.acme import together
from relman.app.deployments.proxies import HostProxies, open_proxies
from relman.app.documents.hosts import proxies_document, proxy_document
from relman.app.environments import Request
from relman.cli.options import environment_option, gathered, hosts_options, inventory_option, yes_option
from relman.cli.output.progress import Screen
from relman.cli.verb import CommandContext, verb
from relman.model.formats.text import hosts_by, some
from relman.model.proxy import Certificate
from relman.rollout.acme.certify import Certified
from relman.rollout.fleet import Gathered
from relman.rollout.proxy.apply import Applied, conclude, require_answers
from relman.rollout.proxy.status import ProxyStatus, RoutedService


@verb("proxy")
@click.argument("what", type=click.Choice(["apply", "status", "remove"]))
@environment_option
@inventory_option
@hosts_options("--limit")
@click.option("--reason", metavar="TEXT", help="Why hosts are excluded.")
@yes_option
@gathered(Request, "request")
def proxy(context: CommandContext, what: str, request: Request, yes: bool) -> None:
    """Make, show or remove the proxy on each host.

    `apply` makes it as the inventory says (relman_proxy), and changes nothing where it is so already; certificates that
    come by ACME (relman_proxy.acme) are renewed by it when a third of their time is left. `status` shows
    whether it has loaded what it is meant to route. `remove` removes it where it routes nothing.

    All environments of a host share its proxy. Requests go through it to every service with deploy.proxy, by the routes
    of the inventory (relman_routes).
    """
    with open_proxies(context, request, resolve=what == "apply", every=what != "status") as proxies:
        if what == "status":
            _show(context, request.environment, proxies.status())
        elif what == "apply":
            _apply(context, proxies)
        else:
            _remove(context, proxies, request.environment, yes=yes)


def _apply(context: CommandContext, proxies: HostProxies) -> None:
    screen = Screen(context.output)
    with screen.showing(list(proxies.meant)):
        done = proxies.apply(screen)
        certified = Certified() if done.errors else proxies.renew(screen)
    ended = together(done, certified.done)
    tell(context, ended, certified.issued)
    certified.conclude(changed=any(each.changed for each in ended.answers.values()))


def _remove(context: CommandContext, proxies: HostProxies, environment: str, *, yes: bool) -> None:
    if not (yes or context.output.confirm(f"remove the proxies of {environment}?")):
        context.output.note("nothing was changed")
        return
    tell(context, proxies.remove())


def tell(context: CommandContext, ended: Gathered[Applied], issued: Sequence[Certificate] = ()) -> None:
    """Say what was done on each host, and which certificates were `issued`; raises what the command came to
    (relman.rollout.proxy.apply)."""
    context.output.json("proxy", proxy_document(ended.answers, issued))
    for host, each in ended.answers.items():
        context.output.line(f"{host}: its proxy {each.done}")
    warned = hosts_by((host, each.warning) for host, each in ended.answers.items() if each.warning)
    for warning, hosts in warned.items():
        context.output.warn(f"{some(hosts)}: {warning}")
    for certificate in issued:
        context.output.line(f"{certificate.name}: its certificate is good until {certificate.until}")
    conclude(ended)


def _show(context: CommandContext, environment: str, found: Gathered[ProxyStatus]) -> None:
    rows = list(found.answers.values())
    context.output.json("proxies", proxies_document(environment, rows))
    cells = [(row.host, row.state, row.image, _draining(row), str(len(row.routes))) for row in rows]
    context.output.table(("HOST", "STATE", "IMAGE", "DRAINING", "SERVICES"), cells, ("IMAGE", "DRAINING"))
    if certificates := [(row.host, c.name, ", ".join(c.hosts), c.until) for row in rows for c in row.certificates]:
        context.output.table(("HOST", "CERTIFICATE", "FOR", "UNTIL"), certificates, ("FOR",))
    if routed := [(row.host, r.name, ", ".join(r.ways), _behind(r)) for row in rows for r in row.routes]:
        context.output.table(("HOST", "SERVICE", "ROUTE", "CONTAINERS"), routed, ("CONTAINERS",))
    now = datetime.now(UTC)
    for row in rows:
        for each in row.certificates:
            if each.is_due(now):
                context.output.warn(f"{row.host}: {each.warning(now)}")
    require_answers(found.errors)
    found.all("looking at the proxies")


def _draining(row: ProxyStatus) -> str:
    return f"{row.connections} connections" if row.connections else str(row.draining or "")


def _behind(routed: RoutedService) -> str:
    return "none: maintenance" if routed.maintenance else ", ".join(routed.servers)
