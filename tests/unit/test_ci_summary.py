"""What the tests found, as lines for people."""

from __future__ import annotations

from dataclasses import replace

from relman.ci.results.test_summary import summary
from relman.model.run import CommandResult
from relman.model.test_cases import Findings, TestCase, TestTotals
from tests.unit.test_ci_results import make


def test_a_run_with_failures() -> None:
    """Each command, the totals, each failure with its message, the flaky ones, the slowest."""
    found = Findings(
        TestTotals(5, 2, 1),
        (TestCase("t.one", 0.1, "assert 1 == 2\nmore"), TestCase("t.two")),
        ("t.flaky",),
        (TestCase("t.one", 1.234), TestCase("t.fast", 0.001)),
    )
    commands = (
        CommandResult(("lint", "a b"), 0, 0.25),
        CommandResult(("pytest",), 0, 1.5, "unit", "2 of 5 tests failed, although it ended with 0", 2),
    )
    assert list(summary(replace(make(), commands=commands, findings=found))) == [
        "lint 'a b': passed (0.2 s)",
        "unit: exit code 0; 2 of 5 tests failed, although it ended with 0, at attempt 2 (1.5 s)",
        "5 tests: 2 passed, 2 failed, 1 skipped",
        "FAILED t.one",
        "    assert 1 == 2",
        "    more",
        "FAILED t.two",
        "slowest: t.one 1.23 s",
        "flaky, passed only when run again: t.flaky",
    ]


def test_a_run_without_result_files() -> None:
    """Where no command writes results, nothing is made up about tests."""
    assert list(summary(make())) == ["pytest: passed (1.5 s)"]


def test_many_failures_are_cut() -> None:
    """A thousand failures and long messages are shown in part, and it is said how many more there are."""
    cases = tuple(TestCase(f"t{n}", 0.0, "line\n" * 40) for n in range(100))
    lines = list(summary(replace(make(), findings=Findings(TestTotals(1000, 1000), cases))))
    assert len(lines) < 400
    assert "and 980 more that failed" in lines
    assert "    … 25 more lines" in lines
