"""All stages of a CI run in order, cleaned up after, also when it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relman.ci import results
from relman.ci.build import build
from relman.ci.cleanup import cleanup
from relman.ci.engine import CredentialsFor, Progress
from relman.ci.services import Released
from relman.ci.test import run_tests
from relman.model.errors import RelmanError, TestsFailed
from relman.model.image import ImageId
from relman.model.run import Commit, RunName, TestReport
from relman.model.service import Service

if TYPE_CHECKING:
    import docker

Promote = Callable[[ImageId, TestReport], None]
Remove = Callable[["docker.APIClient", RunName], object]


def run_ci(
    client: docker.APIClient,
    service: Service,
    run: RunName,
    commit: Commit,
    *,
    version: str,
    created: str,
    deploy_section: str,
    environ: Mapping[str, str],
    credentials: CredentialsFor,
    released: Released,
    kept: Path,
    promote: Promote,
    progress: Progress,
) -> TestReport:
    """Build, test, keep the results in the directory `kept`, promote and clean up; clean up in any case.

    Raises BuildFailed, TestsFailed, and what `promote` raises.
    """
    with cleaned_up(client, run, progress):
        image = build(
            client,
            service,
            run,
            commit,
            version=version,
            created=created,
            deploy_section=deploy_section,
            credentials=credentials,
            progress=progress,
        )
        report = run_tests(
            client,
            service,
            run,
            image,
            commit,
            environ=environ,
            credentials=credentials,
            released=released,
            progress=progress,
        )
        results.save(report, kept)
        check_passed(report)
        promote(image, report)
    return report


def check_passed(report: TestReport) -> None:
    """Raise TestsFailed, with every command and how it ended, unless the report says that the tests passed."""
    if report.passed:
        return
    if not report.commands:
        raise TestsFailed("no test command ran", hint="Name at least one under `test.commands` in relman.yml.")
    details = [f"{c.title}: {c.end}" for c in report.commands]
    raise TestsFailed(f"the tests of {report.service} failed in run {report.run}", details=details)


@contextmanager
def cleaned_up(client: docker.APIClient, run: RunName, progress: Progress, remove: Remove = cleanup) -> Iterator[None]:
    """Clean the run up after the body, however that ends, KeyboardInterrupt included; with `remove_temporary` its
    image tag stays. When the body failed, that is raised, and a failure to clean up is only said."""
    try:
        yield
    except BaseException:
        try:
            remove(client, run)
        except RelmanError as error:
            progress(f"not cleaned up: {error}")
        raise
    remove(client, run)
