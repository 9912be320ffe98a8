"""Test the image of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from relman.app.ci.job import Job, image_of, local_engine
from relman.app.factories import ledger
from relman.app.identity import who
from relman.ci.build.stage import commit_in
from relman.ci.engine import images
from relman.ci.engine.platforms import foreign_named
from relman.ci.engine.push import push
from relman.ci.results import report_store as kept
from relman.ci.results.test_summary import summary
from relman.ci.run.cleanup import temporary_containers
from relman.ci.run.run_name import commit_of
from relman.ci.run.teardown import check_passed
from relman.ci.testing.shell import run_shell
from relman.ci.testing.stage import linked_bench, run_tests
from relman.config.ci_systems import system_of
from relman.docker.local import LocalClient
from relman.evidence.attest import judged_by
from relman.evidence.test_result import EXIT_CODE_ONLY, SMOKE_ONLY
from relman.model.container import Image
from relman.model.image import ImageId
from relman.model.run import Commit, TestReport


def test_stage(
    job: Job, client: LocalClient, image: ImageId, commit: Commit, results: str | None, *, keep: bool
) -> TestReport:
    """Run the tests, store the report whether they passed or not, and return it. Raises TestsFailed."""
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


def shell_stage(job: Job, client: LocalClient, image: ImageId, *, keep: bool) -> None:
    """Open a shell in the image on this process's terminal, with services linked as for the tests."""
    job.phase("shell for")
    with linked_bench(client, job.service, job.run, keep=keep, **_surroundings(job)) as (bench, linked):
        job.say("the tests' environment is set; leave with `exit`")
        run_shell(bench, image, linked, job.service.test)


def test_run(job: Job, results: str | None, *, pushed: bool, keep: bool) -> None:
    """Test the image that this run has built. If its tests pass and `pushed` is set, push it under the run's own tag.
    With `keep`, the tests' containers stay.

    Raises TestsFailed, UsageError.
    """
    with _image_on_engine(job, keep=keep) as (client, image):
        test_stage(job, client, image.id, built_commit(job, image), results, keep=keep)
        if pushed:
            digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
            job.json("push", tag=job.local_tag, manifest=str(digest))


def shell_in_run(job: Job, *, keep: bool) -> None:
    """Open a shell in the image that this run has built."""
    with _image_on_engine(job, keep=keep) as (client, image):
        shell_stage(job, client, image.id, keep=keep)


@contextmanager
def _image_on_engine(job: Job, *, keep: bool) -> Iterator[tuple[LocalClient, Image]]:
    with job.alone(), local_engine() as client:
        image = image_of(client, job)
        try:
            yield client, image
        finally:
            if keep:
                say_what_is_left(job, client)


def _surroundings(job: Job) -> dict[str, Any]:
    """The arguments for linked services."""
    return {
        "environ": job.context.environ,
        "credentials": job.credentials,
        "released": job.released,
        "progress": job.say,
        "watch": job.watch,
    }


def say_what_is_left(job: Job, client: LocalClient) -> None:
    """Report what was kept on the engine, and the command that removes it."""
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
        by=who(job.context.environ),
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


def built_commit(job: Job, image: Image) -> Commit:
    """The commit in the image's labels, with the branch if that commit is still checked out."""
    commit, here = commit_in(image.labels), commit_of(job.root, job.context.environ)
    return replace(commit, branch=here.branch) if commit.revision == here.revision else commit
