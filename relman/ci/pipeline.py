"""How a run ends: what failing tests say, and that it is cleaned up after, also when it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relman.ci.cleanup import cleanup
from relman.ci.engine import Progress
from relman.model.errors import RelmanError, TestsFailed
from relman.model.run import RunName, TestReport

if TYPE_CHECKING:
    import docker

Remove = Callable[["docker.APIClient", RunName], object]


def check_passed(report: TestReport) -> None:
    """Raise TestsFailed, with every command and how it ended, unless the report says that the tests passed."""
    if report.passed:
        return
    if not report.commands:
        raise TestsFailed("no test command ran", hint="Name at least one under `test.commands` in relman.yml.")
    ends = {None: "ended for its timeout", 0: "passed"}
    details = [f"{' '.join(c.argv)}: {ends.get(c.exit_code, f'exit code {c.exit_code}')}" for c in report.commands]
    raise TestsFailed(f"the tests of {report.service} failed in run {report.run}", details=details)


@contextmanager
def cleaned_up(client: docker.APIClient, run: RunName, progress: Progress, remove: Remove = cleanup) -> Iterator[None]:
    """Clean the run up after the body, however that ends, KeyboardInterrupt included; with `remove_temporary` its
    image tag stays. When the body failed, that is raised, and a failure to clean up is only said."""
    try:
        yield
        remove(client, run)
    except BaseException:
        # Also where cleaning up was itself interrupted.
        try:
            remove(client, run)
        except RelmanError as error:
            progress(f"not cleaned up: {error}")
        raise
