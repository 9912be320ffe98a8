"""Run all stages, one after the other, and always clean up."""

from __future__ import annotations

from functools import partial

from relman.app.ci.build import build_stage, version_for
from relman.app.ci.cleanup import clean
from relman.app.ci.job import Job, local_engine, tags_of
from relman.app.ci.library import library_stage
from relman.app.ci.promote import promote_stage, release_check, require_free
from relman.app.ci.test import test_stage
from relman.ci.engine import images
from relman.ci.engine.stopwatch import process_age
from relman.ci.library.files import require_tools
from relman.ci.run.run_name import commit_of
from relman.ci.run.teardown import cleaned_up
from relman.docker.local import LocalClient
from relman.evidence.assessment import Criteria
from relman.model.image import ImageId
from relman.model.run import RunName, TestReport


def run_all(job: Job, version: str | None, results: str | None) -> None:
    """Build, test and promote. `version` is the image's (None: git's), `results` a file for the test results.

    What forbids the release is raised before anything is built.
    """
    commit, version = commit_of(job.root, job.context.environ), version_for(job, version)
    check = release_check(job.context, job.service)
    if job.service.release.library:
        require_tools()
    else:
        require_free(job, tags_of(job, commit, version))
    with (
        job.alone(),
        local_engine(job.watch) as client,
        cleaned_up(client, job.run, job.say, partial(_clean, job)),
    ):
        with job.watch.stage("build"):
            image = build_stage(job, client, commit, version)
        with job.watch.stage("test"):
            report = test_stage(job, client, image, commit, results, keep=False)
        with job.watch.stage("promote"):
            _promote(job, client, image, report, check)


def _promote(job: Job, client: LocalClient, image: ImageId, report: TestReport, check: Criteria) -> None:
    if library := job.service.release.library:
        library_stage(job, library, client, image, report)
    else:
        promote_stage(job, client, images.inspect(client, image.value), report, check)


def _clean(job: Job, client: LocalClient, run: RunName) -> None:
    with job.watch.stage("clean up"):
        clean(job.context, client, run)


def tell_timings(job: Job, since_start: float) -> None:
    """Report the duration of each stage; `since_start` is the seconds since the command began."""
    total, others = process_age() or since_start, job.watch.others_total()
    job.context.events.heading("timings")
    for name, seconds in job.watch.stages.items():
        job.say(f"{name:9} {seconds:6.2f} s")
    job.say(f"in all    {total:6.2f} s")
    job.say(f"of it     {others:6.2f} s the engine's, the services' and the tests' own work")
    job.say(f"relman    {total - others:6.2f} s for the rest: its start, registry, results, waiting for itself")
    job.json("timings", total=total, others=others, relman=total - others, stages=job.watch.stages)
