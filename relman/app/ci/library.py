"""Release a shared library: upload its files to a package index, then push a git tag. The image gets no tag."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

from relman.app.ci.job import Job, image_of, local_engine
from relman.app.factories import index_of, ledger
from relman.app.identity import account, who
from relman.app.retention import sweep_libraries
from relman.ci.engine import images
from relman.ci.library.files import Package, require_tools
from relman.ci.library.make import make_files
from relman.ci.library.publish import kept_package, message_for, publish, require_clean
from relman.ci.library.tag import GitTag, tag_name
from relman.ci.results import report_store as kept
from relman.ci.run.run_name import commit_seconds
from relman.ci.run.run_name import describe as describe_commit
from relman.docker.local import LocalClient
from relman.evidence.promote import require_tested
from relman.local.directories import data_directory
from relman.model.errors import UsageError
from relman.model.formats.clock import timestamp
from relman.model.image import ImageId
from relman.model.run import TestReport
from relman.model.service import Library


def promote_library(job: Job, library: Library, report: TestReport | None) -> None:
    """Promote a library: with the run's image on the engine, or with the files that an earlier attempt made from it."""
    require_tools()
    with job.alone():
        _release(job, library, report or _report_of(job), None)


def library_stage(job: Job, library: Library, client: LocalClient, image: ImageId, report: TestReport) -> None:
    """Release the library in `image`, which `report` tested."""
    _release(job, library, report, (client, image))


def _report_of(job: Job) -> TestReport:
    reports = kept.of_run(job.run, kept.directory(job.context.environ))
    if not reports:
        raise UsageError(
            f"there are no test results of run {job.run}",
            hint="Run `relman build` and `relman test` first, with the same --run, or name a file with --results.",
        )
    return reports[-1]


def _release(job: Job, library: Library, report: TestReport, held: tuple[LocalClient, ImageId] | None) -> None:
    job.phase("promote")
    require_tested(report, report.config, job.local_tag)
    require_clean(report)
    directory = data_directory(job.context.environ) / "libraries" / report.config.hex
    package = kept_package(directory, partial(_make, job, library, report, held))
    name = tag_name(library.git_tag, job.run, report.commit, package.version)
    tag = GitTag(job.root, library.remote, name, report.commit.revision, account(), job.context.environ)
    with closing(index_of(job.context, library.index)) as index:
        publish(package, index, tag, message_for(package, report), job.say)
    sweep_libraries(directory.parent)
    _record(job, library, package, report, name)


def _make(job: Job, library: Library, report: TestReport, held: tuple[LocalClient, ImageId] | None, into: Path) -> None:
    if held is None:
        with local_engine() as client:
            _make(job, library, report, (client, image_of(client, job).id), into)
        return
    client, image = held
    require_tested(report, images.config_digest(client, image), job.local_tag)
    epoch = commit_seconds(job.root, report.commit)
    stage = job.service.test
    make_files(
        client,
        library,
        job.run,
        image,
        entrypoint=stage.own_entrypoint,
        epoch=epoch,
        timeout=stage.timeout,
        into=into,
        progress=job.say,
    )


def _record(job: Job, library: Library, package: Package, report: TestReport, tag: str) -> None:
    """Report the release, and record it in the history."""
    manifest = f"sha256:{package.files[-1].sha256}"
    ledger(job.context).record_release(
        service=job.service.name,
        repository=library.index,
        tag=package.version,
        manifest=manifest,
        run=str(job.run),
        by=who(job.context.environ),
        at=timestamp(),
    )
    job.say(f"released {package}, {describe_commit(report.commit)}, tag {tag}")
    for file in package.files:
        job.say(f"  {file.name} sha256 {file.sha256}")
    job.context.outputs.update(release=package.version, digest=manifest)
    job.json(
        "promote",
        library=package.project,
        release=package.version,
        index=library.index,
        files=dict(package.hashes),
        git_tag=tag,
        config=str(report.config),
    )
