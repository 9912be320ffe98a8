"""relman check: is everything written down correctly?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from relman.app.check_registries import warn_of_plain
from relman.app.factories import INVENTORIES, inventory_paths, reading_of, ssh_files
from relman.ci.build.base_image import dockerfile_of, text_of
from relman.ci.dockerfile import lacks_shell, stage_names
from relman.ci.entrypoint.checkout import unseen_here
from relman.ci.entrypoint.judge import shown
from relman.cli.options import any_environment_option, inventory_option
from relman.cli.output.hosts_view import check_hosts
from relman.cli.verb import Context, verb
from relman.config.check import check_environments, check_settings
from relman.config.inventory.load import load_inventory
from relman.config.service import FILE_NAME, check_service, load_service
from relman.config.trust import load_trust
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.host import Environment
from relman.model.policy import Demands
from relman.model.service import Service


@verb("check")
@click.option("-f", "--file", metavar="PATH", help="The service's relman.yml; by default ./relman.yml if it is there.")
@any_environment_option
@inventory_option
@click.option("--hosts", is_flag=True, help="Ask the hosts of -e ENV, too, what they lack; nothing is changed there.")
def check(context: Context, file: str | None, environment: str | None, inventories: Sequence[str], hosts: bool) -> None:
    """Check relman.yml and the inventory without touching anything.

    Every problem is shown at once, as FILE:LINE:COLUMN, with the key and what was expected there. Where there are both,
    each host of each environment of the service must have every variable that the deploy section needs. A registry that
    answers within 2 seconds is asked whether it speaks TLS.

    With --hosts each host of the environment is asked whether it can be deployed to: connection, host key, engine,
    state directory, registry, free ports. What is missing is shown with the command that mends it; exit code 4.
    """
    if hosts and not environment:
        raise UsageError("--hosts needs -e ENV", hint="name the environment whose hosts are to be asked")
    named = file or FILE_NAME
    asked = bool(environment or inventories or Path(INVENTORIES).is_dir())
    wanted = asked or bool(context.environ.get("RELMAN_INVENTORY"))
    here = bool(file) or Path(FILE_NAME).is_file() or not asked
    problems = check_service(named) if here else []
    environments: list[Environment] = []
    if wanted:
        environments, faults = _environments(context, environment, inventories)
        problems += faults
    service = load_service(named) if here and not problems else None
    demands = [*(each.demands for each in environments), *([service.release.demands] if service else [])]
    problems += _trust_problems(demands)
    if service:
        problems += _missing_stages(service, named)
        problems += check_settings(service, named, environments)
    if problems:
        raise ConfigError(problems)
    _say(context, named, service, environments)
    warn_of_plain(context, service, environments)
    if hosts:
        check_hosts(context, environments[0], service)


def _environments(
    context: Context, environment: str | None, inventories: Sequence[str]
) -> tuple[list[Environment], list[Problem]]:
    try:
        inventory = load_inventory(inventory_paths(context, inventories), reading_of(context))
    except ConfigError as error:
        return [], list(error.problems)
    names = [environment] if environment else inventory.deployable
    if not names:
        raise UsageError(
            f"no group in {', '.join(inventory.files)} says what may be deployed to it",
            hint="set relman_services for a group of hosts: it maps each service to its repository",
        )
    for skipped in inventory.skipped:
        context.output.warn(f"{skipped} is encrypted with ansible-vault and was skipped")
    return check_environments(inventory, names, **ssh_files(context))


def _missing_stages(service: Service, file: str) -> list[Problem]:
    """Stages in which tests are to run, and that the Dockerfile does not have."""
    known = stage_names(text_of(service))
    return [
        Problem(file, 0, 0, f"test.commands[{number}].stage", f"{dockerfile_of(service)} has no stage {command.stage}")
        for number, command in enumerate(service.test.commands)
        if command.stage and command.stage not in known
    ]


def _doubt(service: Service) -> str:
    """Why the test commands might not run, as far as the checkout shows it; empty where nothing speaks for it."""
    text = text_of(service)
    inside = [command for command in service.test.commands if not command.beside]
    if inside and lacks_shell(text, service.build.args, service.build.target):
        return (
            f"test command {inside[0].title} may not be in the image, which has no shell: name under test.commands[] "
            "the `stage` of the Dockerfile, or the `image`, in which it runs; or say `smoke: true`"
        )
    unproved = [command for command in inside if not command.junit]
    if service.test.entrypoint is not None or not unproved:
        return ""
    entrypoint, why = unseen_here(text, Path(service.root) / service.build.context, service.build.target)
    if not why:
        return ""
    return (
        f"test command {unproved[0].title} may only be arguments of the image's ENTRYPOINT {shown(entrypoint)} "
        f"({why}, in this checkout); where the built image does not show that it starts them, `relman test` ends with "
        "exit code 9. Say under `test`: entrypoint: [], image, or a list of words"
    )


def _trust_problems(demands: Sequence[Demands]) -> list[Problem]:
    """Those of every trust.yml that is named; one that is not there is a UsageError."""
    problems: list[Problem] = []
    for file in dict.fromkeys(d.trust for d in demands if d.trust):
        try:
            load_trust(file)
        except ConfigError as error:
            problems += error.problems
    return problems


def _say(context: Context, file: str, service: Service | None, environments: Sequence[Environment]) -> None:
    output = context.output
    if service:
        output.line(f"{file} is valid: {service.name}, released to {service.repository}")
    else:
        output.line(f"there is no {FILE_NAME} here: only the inventory was checked")
    for each in environments:
        hosts = "1 host" if len(each.hosts) == 1 else f"{len(each.hosts)} hosts"
        output.line(f"environment {each.name} is valid: {hosts}, {', '.join(each.services) or 'no service'}")
        if each.registry_ca and not Path(each.registry_ca).is_file():
            output.warn(f"{each.name}: there is no registry CA file {each.registry_ca} on this machine")
    if service and (doubt := _doubt(service)):
        output.warn(f"{file}: {doubt}")
    if service and environments and not any(service.name in each.services for each in environments):
        output.warn(f"no environment checked here knows the service {service.name}: see relman_services")
    data = {"file": file, "service": service.name, "repository": str(service.repository)} if service else {}
    output.json("check", {**data, "environments": [each.name for each in environments]})
