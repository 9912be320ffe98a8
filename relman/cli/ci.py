"""relman ci: all stages of a run, one after the other, cleaned up after in any case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relman.ci import images
from relman.ci.names import commit_of
from relman.ci.pipeline import cleaned_up
from relman.cli.build import build_stage, version_for, with_args
from relman.cli.cleanup import clean
from relman.cli.library import library_stage
from relman.cli.options import build_options, file_option, results_option, run_option
from relman.cli.promote import promote_stage, require_free
from relman.cli.runs import local_engine, open_job, tags_of
from relman.cli.test import test_stage
from relman.cli.verb import Context, verb


@verb("ci")
@file_option
@run_option
@build_options
@results_option("Also write what the tests found to this file.")
def ci(
    context: Context,
    file: str,
    run_flag: str | None,
    build_args: Mapping[str, str],
    version: str | None,
    results: str | None,
) -> None:
    """Build, test and promote, and clean up in any case: also when it fails, on Ctrl-C and on SIGTERM."""
    job = open_job(context, file, run_flag)
    job = replace(job, service=with_args(job.service, build_args))
    commit, version = commit_of(job.root), version_for(job, version)
    library = job.service.release.library
    if not library:
        require_free(job, tags_of(job, commit, version))
    with (
        job.alone(),
        local_engine() as client,
        cleaned_up(client, job.run, job.say, lambda engine, run: clean(context, engine, run)),
    ):
        image = build_stage(job, client, commit, version)
        report = test_stage(job, client, image, commit, results, keep=False)
        if library:
            library_stage(job, library, client, image, report)
        else:
            promote_stage(job, client, images.inspect(client, image.value), report)
