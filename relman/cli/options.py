"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from relman.cli.verb import kept

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

file_option = click.option(
    "-f", "--file", default="relman.yml", show_default=True, metavar="PATH", help="The service's relman.yml."
)
run_option = click.option(
    "--run", "run_flag", metavar="JOB/BUILD", help="The run's name; by default what the CI system's variables say."
)
image_version_option = click.option(
    "--image-version",
    "version",
    metavar="VERSION",
    help="The version that {version} and the image's label say; by default what `git describe --tags` says.",
)
environment_option = click.option(
    "-e", "--environment", required=True, metavar="ENV", help="The environment, as the inventory names it."
)
any_environment_option = click.option(
    "-e", "--environment", metavar="ENV", help="One environment, as the inventory names it."
)
_path_option = click.option(
    "-i",
    "--inventory",
    "inventories",
    multiple=True,
    metavar="PATH",
    help="An inventory file or directory; may be repeated. Else RELMAN_INVENTORY, else ./inventories.",
)
_vault_option = click.option(
    "--vault-id",
    "vault_ids",
    multiple=True,
    metavar="LABEL@FILE",
    expose_value=False,
    callback=kept,
    help="A file with the password of Ansible Vault values; may be repeated. Else RELMAN_VAULT_PASSWORD_FILE.",
)
_run_option = click.option(
    "--run-inventory",
    is_flag=True,
    expose_value=False,
    callback=kept,
    help="Run an inventory that is a script, or that only ansible-inventory can read; with -i or RELMAN_INVENTORY.",
)
service_option = click.option("--service", metavar="NAME", help="The service; by default the environment's only one.")
limit_option = click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="The newest N."
)
wait_option = click.option(
    "--wait-lock",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait while another deployment is working on the hosts.",
)
platform_option = click.option("--platform", metavar="OS/ARCH", help="Which image of an index.")
skip_option = click.option(
    "--unsafe-skip-gate",
    "skip_gates",
    multiple=True,
    metavar="NAME",
    help="Skip this gate, with --reason; recorded and shown from then on. May be repeated.",
)
reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def gathered(kind: type[Any], name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Pass those options of a command that are fields of the dataclass `kind` as one argument `name`."""
    fields = {field.name for field in dataclasses.fields(kind)}

    def gather(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(*arguments: Any, **given: Any) -> None:
            whole = kind(**{key: given.pop(key) for key in fields & given.keys()})
            function(*arguments, **{name: whole}, **given)

        return command

    return gather


def build_options(function: Decorated) -> Decorated:
    """The options of a build."""
    arguments = click.option(
        "--build-arg",
        "build_args",
        multiple=True,
        metavar="NAME=VALUE",
        callback=name_and_value,
        help="A build argument; wins over the one in relman.yml. May be repeated.",
    )
    return arguments(image_version_option(function))


def results_option(help: str) -> Callable[[Decorated], Decorated]:
    """The option for a file of test results; its help differs between commands."""
    return click.option("--results", metavar="FILE", help=help)


def inventory_option(function: Decorated) -> Decorated:
    """The options for inventory files and Ansible Vault passwords."""
    return _path_option(_vault_option(function))


def environment_options(function: Decorated) -> Decorated:
    """The options for environment, inventory and service."""
    return environment_option(inventory_option(_run_option(service_option(function))))


def every_environment_options(function: Decorated) -> Decorated:
    """As `environment_options`; without -e all environments are meant, and it is ""."""
    option = click.option(
        "-e", "--environment", default="", metavar="ENV", help="The environment; by default all of the inventory."
    )
    return option(inventory_option(_run_option(service_option(function))))


def hosts_options(*names: str) -> Callable[[Decorated], Decorated]:
    """The options for a part of the environment; `names` are aliases of --only."""
    help = "Only these: hosts, patterns or groups, with commas."
    only = click.option("--only", *names, "only", multiple=True, metavar="HOST", help=help)
    exclude = click.option("--exclude", multiple=True, metavar="HOST", help="Leave these out; as --only.")
    return lambda function: only(exclude(function))


def exclude_options(function: Decorated) -> Decorated:
    """The options to exclude hosts, with a reason, and to wait for locks."""
    reason = click.option(
        "--reason", metavar="TEXT", help="Why; status shows it on the hosts left out, and the history."
    )
    return hosts_options("--limit")(reason(wait_option(function)))


def max_unhealthy_option(function: Decorated) -> Decorated:
    """The option for the number of tolerated unknown or unhealthy hosts."""
    option = click.option(
        "--max-unhealthy",
        metavar="N|N%",
        callback=_count_or_share,
        help="End with 0 as long as no more hosts than these are unhealthy or do not answer (codes 11 and 12).",
    )
    return option(function)


def rollout_options(function: Decorated) -> Decorated:
    """The options of a rollout."""
    most = click.option(
        "--max-unavailable", metavar="N|N%", callback=_count_or_share, help="Hosts at once after the first; 100%: all."
    )
    only_plan = click.option("--plan", "plan_only", is_flag=True, help="Show the plan and change nothing.")
    return exclude_options(most(only_plan(yes_option(function))))


def name_and_value(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """The callback of a repeatable option NAME=VALUE."""
    for each in given:
        if not re.match(r"[A-Za-z_][A-Za-z0-9_]*=", each):
            raise click.BadParameter(f"{each.partition('=')[0]!r} is not NAME=VALUE")
    return dict(each.split("=", 1) for each in given)


def target_options(function: Decorated) -> Decorated:
    """The options for the image, and for the keys to trust."""
    file = click.option(
        "-f", "--file", default="relman.yml", show_default=True, metavar="PATH", help="Without -e, says where and what."
    )
    keys = click.option(
        "--key", "keys", multiple=True, metavar="FILE", help="Trust only this public key, for everything."
    )
    trust = click.option("--trust", metavar="FILE", help="Trust the keys of this trust.yml instead.")
    return any_environment_option(inventory_option(service_option(file(keys(trust(function))))))


def _count_or_share(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None or re.fullmatch(r"[1-9]\d{0,3}|([1-9]\d?|100)%", value):
        return value
    raise click.BadParameter(f"{value!r} is neither a count of hosts from 1 nor a share from 1% to 100%")
