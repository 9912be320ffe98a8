"""The test results of a run, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from relman.model.run import TestReport
from relman.model.test_cases import Findings, TestCase

MOST_SHOWN = 20
_SLOWEST = 3
_MESSAGE_LINES = 15


def summary(report: TestReport, *, slowest: int = _SLOWEST) -> Iterator[str]:
    """The end of each command, the totals, each failure with its message, the flaky tests, and the slowest ones."""
    for command in report.commands:
        tries = f", at attempt {command.attempts}" if command.attempts > 1 else ""
        yield f"{command.title}: {command.end}{tries} ({command.seconds:.1f} s)"
    if report.findings:
        yield from _found(report.findings, slowest)
    if report.flaky:
        yield f"flaky, passed only when run again: {', '.join(report.flaky)}"


def totals_line(found: Findings) -> str:
    """The totals in one line."""
    totals = found.totals
    counts = {
        "passed": totals.ran - totals.failed,
        "failed": totals.failed,
        "skipped": totals.skipped,
    }
    shown = ", ".join(f"{n} {word}" for word, n in counts.items() if n or word == "passed")
    return f"{totals.tests} {'test' if totals.tests == 1 else 'tests'}: {shown}"


def _found(found: Findings, slowest: int) -> Iterator[str]:
    yield totals_line(found)
    for case in found.failed[:MOST_SHOWN]:
        yield from _failure(case)
    if (more := found.totals.failed - len(found.failed[:MOST_SHOWN])) > 0:
        yield f"and {more} more that failed"
    slow = [f"{case.name} {case.seconds:.2f} s" for case in found.slowest[:slowest] if case.seconds >= 0.005]
    if slow:
        yield f"slowest: {', '.join(slow)}"


def _failure(case: TestCase) -> Iterator[str]:
    yield f"FAILED {case.name}"
    lines = case.message.splitlines()
    yield from (f"    {line}" for line in lines[:_MESSAGE_LINES])
    if len(lines) > _MESSAGE_LINES:
        yield f"    … {len(lines) - _MESSAGE_LINES} more lines"
