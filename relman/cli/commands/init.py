"""relman init: write a first relman.yml from the content of the repository, or from a compose file or Kamal's."""

from __future__ import annotations

from pathlib import Path

import click

from relman.app.scaffold import first_text, from_file, write_files
from relman.cli.verb import CommandContext, verb
from relman.config.compose.convert import Converted
from relman.config.compose.rest import REST
from relman.config.service import FILE_NAME


@verb("init")
@click.option("--print", "only_print", is_flag=True, help="Print the file and write nothing.")
@click.option("--registry", metavar="HOST[:PORT]", help="The private registry; by default RELMAN_REGISTRY.")
@click.option(
    "--from", "source", metavar="FILE", help="A compose file here, or Kamal's, whose services are to be deployed."
)
def init(context: CommandContext, only_print: bool, registry: str | None, source: str | None) -> None:
    """Write a first relman.yml from the Dockerfile and tests here.

    An existing one is never overwritten.

    It is a beginning: read it, and add what no file shows, such as the services that the tests need.

    --from compose.yaml, or config/deploy.yml of Kamal, also writes an inventory to begin with, and a compose file of
    what others built.
    """
    registry = registry or context.environ.get("RELMAN_REGISTRY", "")
    if source:
        _moved_in(context, from_file(Path(source), registry, context.environ), only_print=only_print)
        return
    text = first_text(registry)
    context.output.json("init", {"file": FILE_NAME, "written": not only_print, "text": text})
    if only_print:
        context.output.line(text.rstrip("\n"))
        return
    write_files({FILE_NAME: text})
    context.output.line(f"wrote {FILE_NAME}: read it, then `relman check`")


def _moved_in(context: CommandContext, found: Converted, *, only_print: bool) -> None:
    output = context.output
    if not only_print:
        write_files(found.files)
    document = {"files": dict(found.files), "losses": list(found.losses), "networks": list(found.networks)}
    output.json("init", {"written": not only_print, **document})
    for name, text in found.files.items():
        output.line(f"wrote {name}" if not only_print else f"# {name}\n{text}")
    if found.losses:
        output.line("not said in them, or not as it was:")
        for loss in found.losses:
            output.line(f"  {loss}")
    output.line("next: read the files, see that the inventory has your hosts, then `relman check`")
    output.line(
        "the first time: relman deploy TAG -e production --adopt CONTAINER, for each container that runs of them"
    )
    if found.rest:
        output.line(f"before the first deployment, on each host that is to run it: docker compose -f {REST} up -d")
    for name in found.networks:
        output.line(f"before the first deployment, on each host: docker network create {name}")
