"""relman build: build the image of a run from the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from relman.app.ci.build import build_stage, version_for, with_args
from relman.app.ci.job import local_engine, open_job
from relman.ci.run.run_name import commit_of
from relman.cli.options import build_options, file_option, run_option
from relman.cli.verb import CommandContext, verb

if TYPE_CHECKING:
    pass


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
    with job.alone(), local_engine() as client:
        build_stage(job, client, commit_of(job.root, job.context.environ), version_for(job, version))
