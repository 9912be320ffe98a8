"""Single test cases from result files: totals, failures, flaky and slowest ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SLOWEST = 10
MOST_FAILED = 100


@dataclass(frozen=True)
class TestCase:
    """One test case. `message` is its failure, cut to a bounded length; empty if it passed."""

    __test__ = False

    name: str
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class TestTotals:
    """The number of test cases, of those that failed or had an error, and of those skipped."""

    __test__ = False

    tests: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ran(self) -> int:
        """The number of executed test cases."""
        return self.tests - self.skipped


@dataclass(frozen=True)
class Findings:
    """The content of one or more result files. `failed` has at most MOST_FAILED cases, `slowest` at most SLOWEST,
    slowest first; `flaky` names the cases that failed and then passed."""

    totals: TestTotals = TestTotals()
    failed: tuple[TestCase, ...] = ()
    flaky: tuple[str, ...] = ()
    slowest: tuple[TestCase, ...] = ()

    @classmethod
    def together(cls, several: Iterable[Findings]) -> Findings:
        """Merge the findings of several files or commands."""
        found = tuple(several)
        return cls(
            TestTotals(
                sum(f.totals.tests for f in found),
                sum(f.totals.failed for f in found),
                sum(f.totals.skipped for f in found),
            ),
            tuple(case for f in found for case in f.failed)[:MOST_FAILED],
            tuple(dict.fromkeys(name for f in found for name in f.flaky)),
            slowest(case for f in found for case in f.slowest),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Findings:
        """Rebuild from dataclasses.asdict. Raises KeyError or TypeError."""
        return cls(
            TestTotals(**data["totals"]),
            tuple(TestCase(**case) for case in data["failed"]),
            tuple(data["flaky"]),
            tuple(TestCase(**case) for case in data["slowest"]),
        )


def slowest(cases: Iterable[TestCase]) -> tuple[TestCase, ...]:
    """The slowest of these cases, slowest first; equally slow ones by name."""
    return tuple(sorted(cases, key=lambda case: (-case.seconds, case.name))[:SLOWEST])
