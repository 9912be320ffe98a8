"""relman test: run the tests in the exact image that build made, linked to their services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relman.ci import results as kept
from relman.ci.build import commit_in
from relman.ci.cleanup import remove_temporary
from relman.ci.names import commit_of
from relman.ci.pipeline import check_passed, cleaned_up
from relman.ci.push import push
from relman.ci.test import run_tests
from relman.cli.compose import ledger, who
from relman.cli.options import file_option, results_option, run_option
from relman.cli.runs import Job, image_of, local_engine, open_job
from relman.cli.verb import Context, verb
from relman.model.container import Image
from relman.model.image import ImageId
from relman.model.run import Commit, TestReport

if TYPE_CHECKING:
    import docker


@verb("test")
@file_option
@run_option
@results_option("Also write what the tests found to this file, for `relman promote` on another machine.")
@click.option(
    "--push",
    "pushed",
    is_flag=True,
    help="When they pass, push the image under the run's own tag, to be promoted later.",
)
def test(context: Context, file: str, run_flag: str | None, results: str | None, pushed: bool) -> None:
    """Run the tests in the exact image that build made, linked to the services they need."""
    job = open_job(context, file, run_flag)
    with local_engine() as client, cleaned_up(client, job.run, job.say, remove_temporary):
        image = image_of(client, job)
        test_stage(job, client, image.id, _commit_of(job, image), results)
        if pushed:
            digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
            job.json("push", tag=job.local_tag, manifest=str(digest))


def test_stage(job: Job, client: docker.APIClient, image: ImageId, commit: Commit, results: str | None) -> TestReport:
    """Test, keep what was found, passed or not, and return it. Raises TestsFailed."""
    job.phase("test")
    report = run_tests(client, job.service, job.run, image, commit, credentials=job.credentials, progress=job.say)
    _keep(job, image, report, results)
    check_passed(report)
    return report


def _keep(job: Job, image: ImageId, report: TestReport, results: str | None) -> None:
    kept.save(report, kept.directory(job.context.environ))
    if results:
        kept.write(report, Path(results))
    ledger(job.context).record_run(
        run=str(report.run),
        service=report.service,
        commit=report.commit.revision,
        config=str(report.config),
        outcome="passed" if report.passed else "failed",
        by=who(),
        finished=report.finished,
    )
    commands = [{"argv": c.argv, "exit": c.exit_code, "seconds": c.seconds} for c in report.commands]
    job.json(
        "test",
        image=str(image),
        config=str(report.config),
        passed=report.passed,
        commands=commands,
        services=dict(report.services),
    )


def _commit_of(job: Job, image: Image) -> Commit:
    """The commit that the image names; its branch, where that commit is still checked out."""
    commit, here = commit_in(image.labels), commit_of(job.root)
    return replace(commit, branch=here.branch) if commit.revision == here.revision else commit
