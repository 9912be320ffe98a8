"""relman check: validate relman.yml and the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from relman.app.check.files import GoodFiles, check_files
from relman.app.check.hosts import check_hosts
from relman.app.check.registries import warn_of_plain
from relman.app.documents.check import check_document, hosts_document
from relman.cli.options import any_environment_option, inventory_option
from relman.cli.output.hosts_view import show_readiness
from relman.cli.output.printer import Output
from relman.cli.verb import CommandContext, verb
from relman.config.service import FILE_NAME
from relman.model.errors import UsageError


@verb("check")
@click.option("-f", "--file", metavar="PATH", help="The service's relman.yml; by default ./relman.yml if it is there.")
@any_environment_option
@inventory_option
@click.option("--hosts", is_flag=True, help="Ask the hosts of -e ENV, too, what they lack; nothing is changed there.")
def check(
    context: CommandContext, file: str | None, environment: str | None, inventories: Sequence[str], hosts: bool
) -> None:
    """Check relman.yml and the inventory without touching anything.

    Every problem is shown at once, as FILE:LINE:COLUMN, with the key and what was expected there. If both exist, each
    host of each environment of the service must have every variable that the deploy section needs. A registry that
    answers within 2 seconds is asked whether it speaks TLS.

    With --hosts each host of the environment is asked whether it can be deployed to: connection, host key, engine,
    state directory, registry, free ports. What is missing is shown with the command that corrects it; exit code 4.
    """
    if hosts and not environment:
        raise UsageError("--hosts needs -e ENV", hint="name the environment whose hosts are to be asked")
    found, output = check_files(context, file, environment, inventories), context.output
    _show(output, found)
    output.json("check", check_document(found))
    warn_of_plain(context, found.service, found.environments)
    if hosts:
        readiness = check_hosts(context, found.environments[0], found.service)
        output.json("hosts", hosts_document(readiness))
        show_readiness(output, readiness.lacks)
        readiness.require_all()


def _show(output: Output, found: GoodFiles) -> None:
    if service := found.service:
        output.line(f"{found.file} is valid: {service.name}, released to {service.repository}")
    else:
        output.line(f"there is no {FILE_NAME} here: only the inventory was checked")
    for each in found.environments:
        hosts = "1 host" if len(each.hosts) == 1 else f"{len(each.hosts)} hosts"
        output.line(f"environment {each.name} is valid: {hosts}, {', '.join(each.services) or 'no service'}")
        if each.registry_ca and not Path(each.registry_ca).is_file():
            output.warn(f"{each.name}: there is no registry CA file {each.registry_ca} on this machine")
    for doubt in found.doubts:
        output.warn(doubt)
