"""relman secret: values that are kept, encrypted, beside the inventory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from relman.app.environments import Request
from relman.app.secret_files import get_secret, list_secrets, set_secret
from relman.cli.options import environment_option, inventory_option
from relman.cli.verb import CommandContext, shared_options, verb
from relman.model.errors import UsageError
from relman.model.formats.text import some


@click.group("secret", params=list(shared_options()))
def secret() -> None:
    """Write, show and list the secrets of an environment.

    The inventory says where each comes from (relman_secrets). Those with the source `age` are in files beside it, which
    belong in the repository: encrypted for the key in RELMAN_AGE_KEY_FILE, or for everybody in recipients.txt beside
    them.
    """


_name = click.argument("name")


@verb("set")
@_name
@environment_option
@inventory_option
@click.option("--from", "file", metavar="FILE", help="Take the value from this file, byte for byte.")
def set_(context: CommandContext, name: str, environment: str, inventories: Sequence[str], file: str | None) -> None:
    """Encrypt a value with age, into the file that the inventory names.

    The value is asked for, or read from standard input (less a line end at its very end), or from a file.
    """
    where, readers = set_secret(context, Request(environment, inventories), name, _value(context, name, file))
    context.output.json("secret", {"name": name, "file": str(where), "readers": list(readers)})
    context.output.line(f"{name} is in {where}, encrypted for {some(readers)}")
    context.output.line(f"it is on no host yet: relman deploy TAG -e {environment}")


@verb("get")
@_name
@environment_option
@inventory_option
def get(context: CommandContext, name: str, environment: str, inventories: Sequence[str]) -> None:
    """Print a value as it is, and nothing else; from whatever source it comes."""
    if context.output.wants_json:
        raise UsageError("secret get prints the value alone, and no JSON")
    context.output.raw(get_secret(context, Request(environment, inventories), name))


@verb("list")
@environment_option
@inventory_option
def list_(context: CommandContext, environment: str, inventories: Sequence[str]) -> None:
    """List the secrets of an environment, where each comes from and what is missing; no value is read."""
    found = list_secrets(context, Request(environment, inventories))
    context.output.json("secrets", {"environment": environment, "secrets": [asdict(each) for each in found]})
    rows = [
        (each.name, each.kind, each.source, some(each.hosts), some(each.services) or "all", each.lacking)
        for each in found
    ]
    context.output.table(
        ("SECRET", "KIND", "FROM", "HOSTS", "SERVICES", "MISSING"), rows, ("HOSTS", "SERVICES", "MISSING")
    )


for _command in (set_, get, list_):
    secret.add_command(_command)


def _value(context: CommandContext, name: str, file: str | None) -> bytes:
    if file:
        try:
            return Path(file).read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if context.ask_secret:
        return context.ask_secret(f"The value of {name}", True).encode()
    return sys.stdin.buffer.read().removesuffix(b"\n").removesuffix(b"\r")
