"""Show statements about an image."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from relman.cli.output.printer import Output
from relman.cli.output.text import age
from relman.evidence.assessment import Counted, Facts
from relman.evidence.test_result import TestResult, read_test_result
from relman.evidence.verification_summary import ReleaseStatement, read_release
from relman.model.formats.clock import rfc3339
from relman.model.predicates import RELEASE, TEST_RESULT, short


def show_statements(output: Output, facts: Facts) -> None:
    """Show every statement that counts, oldest first, and why others do not count."""
    output.line(f"{facts.subject}: manifest {facts.subject.manifest}")
    now = datetime.now(UTC)
    found = sorted(facts.counted, key=lambda c: (c.statement.time or now, c.statement.predicate_type == RELEASE))
    output.table(
        ("STATEMENT", "SIGNED BY", "MADE", "SAYS"), [row for c in found for row in _rows(c, now)], ("SIGNED BY", "MADE")
    )
    for refused in facts.refused:
        output.warn(refused)
    if not facts.counted:
        output.warn("no statement counts")


def _rows(counted: Counted, now: datetime) -> Iterator[tuple[str, ...]]:
    statement = counted.statement
    made = age(rfc3339(statement.time), now) if statement.time else "unknown"
    first, *further = _says(counted)
    yield (short(statement.predicate_type), counted.signer or "not checked", made, first)
    for line in further:
        yield ("", "", "", line)


def _says(counted: Counted) -> list[str]:
    if counted.statement.predicate_type == TEST_RESULT:
        return list(_tested(read_test_result(counted.statement)))
    released = read_release(counted.statement)
    return list(_released(released)) if released else [""]


def _tested(result: TestResult) -> Iterator[str]:
    flaky = f", {len(result.flaky)} flaky" if result.flaky else ""
    how = f", {result.judged_by}" if result.judged_by else ""
    yield f"{result.result}: {result.tests} passed, {result.failures} failed{flaky}{how}" + (
        f", run {result.run}" if result.run else ""
    )
    if result.commit:
        changes = {True: "", False: ", with uncommitted changes", None: ""}[result.clean]
        yield f"commit {result.commit[:12]}" + (f" of {result.branch}" if result.branch else "") + changes
    if result.started and result.finished:
        yield f"from {result.started} to {result.finished}"
    yield from (f"failed: {name}" for name in result.failed)
    yield from (f"flaky: {name}" for name in result.flaky)
    yield from (f"linked to {alias}: {image}" for alias, image in result.services.items())
    yield from (f"{command} ran in {image}, beside it" for command, image in result.beside.items())


def _released(released: ReleaseStatement) -> Iterator[str]:
    channels = f", followed by {', '.join(released.channels)}" if released.channels else ""
    yield f"{'PASSED' if released.passed else 'FAILED'}: {released.repository}:{released.tag}{channels}"
    yield from map(str, released.skipped)
