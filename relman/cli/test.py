"""relman test: run the tests in the exact image that build made, linked to their services."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relman.ci.build.stage import commit_in
from relman.ci.engine import images
from relman.ci.engine.platforms import foreign_named
from relman.ci.engine.push import push
from relman.ci.results import report_store as kept
from relman.ci.results.test_summary import summary
from relman.ci.run.cleanup import temporary_containers
from relman.ci.run.run_name import commit_of
from relman.ci.run.teardown import check_passed
from relman.ci.systems import system_of
from relman.ci.testing.shell import require_terminal, run_shell
from relman.ci.testing.stage import linked_bench, run_tests
from relman.cli.compose import ledger, who
from relman.cli.options import file_option, results_option, run_option
from relman.cli.runs import Job, image_of, local_engine, open_job
from relman.cli.verb import Context, verb
from relman.evidence.attest import judged_by
from relman.evidence.test_result import EXIT_CODE_ONLY, SMOKE_ONLY
from relman.model.container import Image
from relman.model.image import ImageId
from relman.model.run import Commit, TestReport

if TYPE_CHECKING:
    import docker


@verb("test")
@file_option
@run_option
@results_option("Also write the test results to this file, for `relman promote` on another machine.")
@click.option(
    "--push",
    "pushed",
    is_flag=True,
    help="When they pass, push the image under the run's own tag, to be promoted later.",
)
@click.option("--keep", is_flag=True, help="Leave containers, network and volumes up, to look at them.")
@click.option("--shell", is_flag=True, help="No tests: a shell in the exact image, with everything linked.")
def test(
    context: Context, file: str, run_flag: str | None, results: str | None, pushed: bool, keep: bool, shell: bool
) -> None:
    """Run the tests in the exact image that build made.

    They are linked to the services that they need.
    """
    if shell:
        require_terminal()
    job = open_job(context, file, run_flag)
    with job.alone(), local_engine() as client:
        image = image_of(client, job)
        try:
            if shell:
                _shell(job, client, image.id, keep=keep)
                return
            test_stage(job, client, image.id, _commit_of(job, image), results, keep=keep)
            if pushed:
                digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
                job.json("push", tag=job.local_tag, manifest=str(digest))
        finally:
            if keep:
                _say_what_is_left(job, client)


def test_stage(
    job: Job, client: docker.APIClient, image: ImageId, commit: Commit, results: str | None, *, keep: bool
) -> TestReport:
    """Test, keep what was found, passed or not, and return it. Raises TestsFailed."""
    job.phase("test")
    environ = job.context.environ
    with foreign_named(client, images.inspect(client, image.value).platform, job.say):
        report = run_tests(client, job.service, job.run, image, commit, keep=keep, **_surroundings(job))
        report = replace(report, url=system_of(environ).facts(environ).url)
        _keep(job, image, report, results)
        check_passed(report)
    for line in summary(report):
        job.say(line)
    if judged_by(report) == SMOKE_ONLY:
        job.say(f"{SMOKE_ONLY}: no test ran, the image starts and is healthy, and the evidence says so")
    elif report.exit_code_only:
        job.say(f"{EXIT_CODE_ONLY}: no result file (`junit`) shows which tests ran, and the evidence says so")
    return report


def _shell(job: Job, client: docker.APIClient, image: ImageId, *, keep: bool) -> None:
    job.phase("shell for")
    with linked_bench(client, job.service, job.run, keep=keep, **_surroundings(job)) as (bench, linked):
        job.say("the tests' environment is set; leave with `exit`")
        run_shell(bench, image, linked, job.service.test)


def _surroundings(job: Job) -> dict[str, Any]:
    """What linked services are made with."""
    return {
        "environ": job.context.environ,
        "credentials": job.credentials,
        "released": job.released,
        "progress": job.say,
        "watch": job.watch,
    }


def _say_what_is_left(job: Job, client: docker.APIClient) -> None:
    names = temporary_containers(client, job.run)
    for name in names:
        job.say(f"kept {name}")
    if names:
        matrix = f"RELMAN_MATRIX={shlex.quote(job.run.matrix)} " if job.run.matrix else ""
        file = "" if job.file == Job.file else f" --file {shlex.quote(job.file)}"
        named = f"{matrix}relman cleanup{file} --run {shlex.quote(str(job.run))}"
        job.say(f"`{named}` removes them, their network, volumes and the image's tag")


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
    commands = [
        {
            "name": c.title,
            "argv": c.argv,
            "exit": c.exit_code,
            "seconds": c.seconds,
            "problem": c.problem,
            "ran_nothing": c.ran_nothing,
            "image": c.image,
        }
        for c in report.commands
    ]
    job.json(
        "test",
        image=str(image),
        config=str(report.config),
        passed=report.passed,
        commands=commands,
        services=dict(report.services),
        findings=report.to_json()["findings"],
        flaky=report.flaky,
        exit_code_only=report.exit_code_only,
        smoke_only=report.smoke_only,
    )


def _commit_of(job: Job, image: Image) -> Commit:
    """The commit that the image names; its branch, where that commit is still checked out."""
    commit, here = commit_in(image.labels), commit_of(job.root, job.context.environ)
    return replace(commit, branch=here.branch) if commit.revision == here.revision else commit
