"""relman build: build the image of a run from the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relman.app.ci.build import build_run, with_args
from relman.app.ci.job import open_job
from relman.cli.options import build_options, file_option, run_option
from relman.cli.verb import CommandContext, verb


@verb("build")
@file_option
@run_option
@build_options
def build(
    context: CommandContext, file: str, run_flag: str | None, build_args: Mapping[str, str], version: str | None
) -> None:
    """Build the image of a run.

    The deploy section of relman.yml is frozen into it.
    """
    job = open_job(context, file, run_flag)
    job = replace(job, service=with_args(job.service, build_args))
    build_run(job, version)
