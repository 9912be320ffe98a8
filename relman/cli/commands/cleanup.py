"""relman cleanup: remove the objects of a run from the engine."""

from __future__ import annotations

import click

from relman.app.ci.cleanup import clean_older, clean_run
from relman.cli.options import file_option, run_option
from relman.cli.verb import CommandContext, verb
from relman.config.schema import values


def _duration(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else values.seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@verb("cleanup")
@file_option
@run_option
@click.option("--older-than", metavar="TIME", callback=_duration, help="All runs that are older, such as 2h.")
def cleanup(context: CommandContext, file: str, run_flag: str | None, older_than: float | None) -> None:
    """Remove what a run left on the engine, and nothing else.

    A run leaves containers, networks, volumes and its image's tag.

    Objects of other services and matrix jobs of the same run stay. With --older-than, leftovers of killed runs of any
    service are removed, too; runs in progress on this machine are skipped.
    """
    if older_than is not None and run_flag:
        raise click.UsageError("--run and --older-than exclude each other.")
    if older_than is None:
        clean_run(context, file, run_flag)
    else:
        clean_older(context, older_than)
