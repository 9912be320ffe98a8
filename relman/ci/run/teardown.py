"""The end of a run: the error of failed tests, and the cleanup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from relman.ci.callbacks import Progress
from relman.ci.results.test_summary import summary
from relman.ci.run.cleanup import cleanup
from relman.docker.client import Client
from relman.model.errors import RelmanError, TestsFailed
from relman.model.run import RunName, TestReport

Remove = Callable[[Client, RunName], object]


def check_passed(report: TestReport) -> None:
    """Raise TestsFailed, with the summary, unless the tests passed."""
    if report.passed:
        return
    if not report.commands:
        raise TestsFailed("no test command ran", hint="Name one under `test.commands`, or say `test.smoke: true`.")
    if all(command.good for command in report.commands):
        raise TestsFailed(
            f"no test of {report.service} ran in run {report.run}",
            hint="`allow_no_tests` lets one command among others have no test: nothing is released untested.",
            details=list(summary(report)),
        )
    raise TestsFailed(f"the tests of {report.service} failed in run {report.run}", details=list(summary(report)))


@contextmanager
def cleaned_up(client: Client, run: RunName, progress: Progress, remove: Remove = cleanup) -> Iterator[None]:
    """Clean up the run after the body, however it ends, also by KeyboardInterrupt.

    With `remove_temporary` the image tag is kept. If the body raised, a failure to clean up is only reported to
    `progress`.
    """
    try:
        yield
        remove(client, run)
    except BaseException:
        # Also if the cleanup itself was interrupted.
        try:
            remove(client, run)
        except RelmanError as error:
            progress(f"not cleaned up: {error}")
        raise
