"""relman init: write a first relman.yml from the content of the repository."""

from __future__ import annotations

from pathlib import Path

import click

from relman.ci.scaffold import first_file, look
from relman.cli.verb import CommandContext, verb
from relman.config.service import FILE_NAME, parse_service
from relman.model.errors import UsageError

_NOBODY = "registry.example.com"


@verb("init")
@click.option("--print", "only_print", is_flag=True, help="Print the file and write nothing.")
@click.option("--registry", metavar="HOST[:PORT]", help="The private registry; by default RELMAN_REGISTRY.")
def init(context: CommandContext, only_print: bool, registry: str | None) -> None:
    """Write a first relman.yml from the Dockerfile and tests here.

    An existing one is never overwritten.

    It is a beginning: read it, and add what no file shows, such as the services that the tests need.
    """
    text = first_file(look(Path()), registry or context.environ.get("RELMAN_REGISTRY") or _NOBODY)
    parse_service(text.encode(), FILE_NAME)
    context.output.json("init", {"file": FILE_NAME, "written": not only_print, "text": text})
    if only_print:
        context.output.line(text.rstrip("\n"))
        return
    try:
        with Path(FILE_NAME).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "relman init never overwrites: `relman init --print` shows what it would write."
        raise UsageError(f"there is a {FILE_NAME} here already", hint=hint) from None
    except OSError as error:
        raise UsageError(f"cannot write {FILE_NAME}: {error.strerror}") from error
    context.output.line(f"wrote {FILE_NAME}: read it, then `relman check`")
