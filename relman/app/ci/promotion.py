"""Release the image of a run, an image in the registry, or a library; or copy a release to another repository."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from relman.app.ci.job import Job, image_of, local_engine
from relman.app.ci.library import promote_library
from relman.app.ci.promote import in_registry, of_run_in_registry, promote_stage, release_check, release_there
from relman.app.context import Context
from relman.app.factories import registry_of, written_service
from relman.app.image_target import reference_of
from relman.app.policy import skips_of
from relman.app.releases.copy_release import Move, to_elsewhere
from relman.ci.results import report_store
from relman.ci.run.run_name import run_name
from relman.evidence.assessment import Criteria
from relman.model.errors import Unreachable, UsageError
from relman.model.image import Repository
from relman.model.run import RunName, TestReport
from relman.model.service import Service


@dataclass(frozen=True)
class Promotion:
    """What to release: the service in `file`; the image of the run `run_flag` (None: from the CI system or the
    results), or `image`, a tag or digest in the registry; `results` is a file of test results (None: the stored ones).
    `skip_gates` are skipped for `reason`."""

    file: str
    run_flag: str | None = None
    image: str | None = None
    results: str | None = None
    skip_gates: Sequence[str] = ()
    reason: str | None = None


def promote(context: Context, wanted: Promotion) -> None:
    """Release the image, or the library, that passed its tests. Raises PolicyRefused and UsageError."""
    service, check = _judged(context, wanted)
    report = report_store.read(Path(wanted.results)) if wanted.results else None
    if library := service.release.library:
        if wanted.image:
            raise UsageError(
                "--image is for what is released as an image, and this is a library.",
                hint="See `relman promote --help`.",
            )
        promote_library(Job(context, service, _run(context, wanted, service, report)), library, report)
    elif wanted.image:
        registry = registry_of(context, service.repository, writes=True)
        found = in_registry(registry, service, reference_of(service.repository, wanted.image), report)
        named = run_name(context.environ, wanted.run_flag, service.name) if wanted.run_flag else None
        release_there(context, service, registry, found, report, named, check)
    else:
        _promote_run(Job(context, service, _run(context, wanted, service, report)), report, check)


def copy(context: Context, wanted: Promotion, tag: str, to: str, channels: Sequence[str]) -> None:
    """Copy the release `tag` with its evidence to the repository `to`, and move `channels` to it there. Raises
    PolicyRefused and UsageError."""
    service, check = _judged(context, wanted)
    to_elsewhere(context, Move(service.repository, tag, Repository.parse(to), tuple(channels), service.name), check)


def _judged(context: Context, wanted: Promotion) -> tuple[Service, Criteria]:
    service = written_service(context, wanted.file)
    return service, release_check(context, service, skips_of(context, wanted.skip_gates, wanted.reason))


def _run(context: Context, wanted: Promotion, service: Service, report: TestReport | None) -> RunName:
    return report.run if report and not wanted.run_flag else run_name(context.environ, wanted.run_flag, service.name)


def _promote_run(job: Job, report: TestReport | None, check: Criteria) -> None:
    """Release the image of the run, from this engine, or else from the registry."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(local_engine())
            held = image_of(client, job)
        except (Unreachable, UsageError) as error:
            found = of_run_in_registry(job, report, error)
            release_there(job.context, job.service, job.registry, found, report, job.run, check)
        else:
            promote_stage(job, client, held, report, check)
