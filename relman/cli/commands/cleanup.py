"""relman cleanup: remove the objects of a run from the engine."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from relman.app.ci.cleanup import clean, tell_removed
from relman.app.ci.job import local_engine, locks
from relman.app.factories import written_service
from relman.ci.run import cleanup as engine
from relman.ci.run.run_lock import at_work
from relman.ci.run.run_name import run_name
from relman.cli.options import file_option, run_option
from relman.cli.verb import CommandContext, verb
from relman.config.schema import values

if TYPE_CHECKING:
    pass


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
    with local_engine() as client:
        if older_than is None:
            service = written_service(context, file).name
            clean(context, client, run_name(context.environ, run_flag, service))
        else:
            context.output.heading("clean up after all finished runs")
            held = partial(at_work, directory=locks(context))
            tell_removed(context, engine.cleanup_older(client, older_than, time.time(), held))
