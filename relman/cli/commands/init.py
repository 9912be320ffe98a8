"""relman init: write a first relman.yml from the content of the repository."""

from __future__ import annotations

import click

from relman.app.scaffold import first_text, write_first
from relman.cli.verb import CommandContext, verb
from relman.config.service import FILE_NAME

_NOBODY = "registry.example.com"


@verb("init")
@click.option("--print", "only_print", is_flag=True, help="Print the file and write nothing.")
@click.option("--registry", metavar="HOST[:PORT]", help="The private registry; by default RELMAN_REGISTRY.")
def init(context: CommandContext, only_print: bool, registry: str | None) -> None:
    """Write a first relman.yml from the Dockerfile and tests here.

    An existing one is never overwritten.

    It is a beginning: read it, and add what no file shows, such as the services that the tests need.
    """
    text = first_text(registry or context.environ.get("RELMAN_REGISTRY") or _NOBODY)
    context.output.json("init", {"file": FILE_NAME, "written": not only_print, "text": text})
    if only_print:
        context.output.line(text.rstrip("\n"))
        return
    write_first(text)
    context.output.line(f"wrote {FILE_NAME}: read it, then `relman check`")
