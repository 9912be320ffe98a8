"""relman schema: the JSON Schema of relman.yml or of a playbook, for editors."""

from __future__ import annotations

import json

import click

from relman.cli.verb import CommandContext, verb
from relman.config.schema.json_schema import KINDS, json_schema


@verb("schema")
@click.argument("kind", type=click.Choice(list(KINDS)), default="relman")
def schema(context: CommandContext, kind: str) -> None:
    """Print the JSON Schema of relman.yml or of a playbook.

    Of a playbook with `playbook`. Editors complete keys with it.

    In the first line of a file, an editor with a YAML language server finds it by
    `# yaml-language-server: $schema=relman.schema.json`.
    """
    found = json_schema(kind)
    context.output.line(json.dumps(found, indent=2))
    context.output.json("schema", {"of": kind, "schema": found})
