"""relman inventory: show how the inventory was understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relman.app.documents.inventory import environment_document, inventory_document
from relman.app.factories import inventory_of, ssh_files
from relman.cli.options import any_environment_option, inventory_option
from relman.cli.output.printer import Output
from relman.cli.output.text import without_empty
from relman.cli.verb import CommandContext, verb
from relman.model.formats.text import some
from relman.model.host import DEFAULT_STATE_DIR, Host


@verb("inventory")
@any_environment_option
@inventory_option
def inventory(context: CommandContext, environment: str | None, inventories: Sequence[str]) -> None:
    """Show what relman understands of the inventory.

    Its environments and hosts, or how one environment is reached.

    Of variables only the names are shown, never the values. No host is asked.
    """
    understood = inventory_of(context, inventories)
    if environment is None:
        data = inventory_document(understood)
        context.output.json("inventory", data)
        _show_inventory(context.output, data)
    else:
        data = environment_document(understood.environment(environment, **ssh_files(context)))
        context.output.json("environment", data)
        _show_environment(context.output, data)
    for file in understood.skipped:
        context.output.warn(f"{file} is encrypted with ansible-vault and was skipped")
    for said in understood.left_out:
        context.output.note(f"left out: {said}")


def _show_inventory(output: Output, data: Mapping[str, Any]) -> None:
    output.line(f"read {', '.join(data['files'])}")
    groups = [(name, str(len(hosts)), some(hosts)) for name, hosts in data["groups"].items()]
    output.line(f"environments: {', '.join(data['environments']) or 'none'}")
    output.table(("GROUP", "HOSTS", ""), groups)
    output.line()
    hosts = data["hosts"].items()
    output.table(
        ("HOST", "GROUPS", "VARIABLES"),
        [(name, " ".join(h["groups"]), " ".join(h["variables"])) for name, h in hosts],
        ("GROUPS", "VARIABLES"),
    )


def _show_environment(output: Output, data: Mapping[str, Any]) -> None:
    output.line(f"environment {data['name']}")
    for name, repository in data["services"].items():
        output.line(f"  service     {name}: {repository}")
    for name, values in (
        ("registry CA", [data["registry_ca"]]),
        ("without TLS", data["insecure_registries"]),
        ("known hosts", data["known_hosts"]),
    ):
        if said := ", ".join(filter(None, values)):
            output.line(f"  {name} {said}")
    rows = [
        (
            host["name"],
            host["endpoint"],
            ", ".join(host["jumps"]),
            ", ".join(host["identity_files"]) or "the agent's",
            _elsewhere(host),
            " ".join(host["variables"]),
            " ".join(host["env"]),
            " ".join(host["secrets"]),
        )
        for host in data["hosts"]
    ]
    columns = ("HOST", "REACHED AT", "THROUGH", "KEYS", "WHERE", "VARIABLES", "ENV", "SECRETS")
    output.table(*without_empty(columns, rows, columns), shared=columns[2:])


def _elsewhere(host: Mapping[str, Any]) -> str:
    """The host's paths and its docker command, where they differ from the defaults."""
    usual = {
        "state_dir": DEFAULT_STATE_DIR,
        "docker_socket": Host.docker_socket,
        "docker_command": " ".join(Host.docker_command),
    }
    return " ".join(host[key] for key, path in usual.items() if host[key] != path)
