"""relman ci: run all stages in order, and clean up in any case."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import click

from relman.app.ci.build import with_args
from relman.app.ci.job import open_job
from relman.app.ci.pipeline import run_all, tell_timings
from relman.cli.options import build_options, file_option, results_option, run_option
from relman.cli.verb import CommandContext, verb


@verb("ci")
@file_option
@run_option
@build_options
@results_option("Also write the test results to this file.")
@click.option("--timings", is_flag=True, help="Show at the end where the time went.")
def ci(
    context: CommandContext,
    file: str,
    run_flag: str | None,
    build_args: Mapping[str, str],
    version: str | None,
    results: str | None,
    timings: bool,
) -> None:
    """Build, test and promote, and clean up in any case.

    Also when it fails, on Ctrl-C and on SIGTERM it cleans up.
    """
    begin = time.monotonic()
    job = open_job(context, file, run_flag)
    job = replace(job, service=with_args(job.service, build_args))
    run_all(job, version, results)
    if timings:
        tell_timings(job, time.monotonic() - begin)
