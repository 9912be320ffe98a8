"""What test commands wrote about single test cases: totals, failures, flaky ones, the slowest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SLOWEST = 10
MOST_FAILED = 100


@dataclass(frozen=True)
class TestCase:
    """One test case. `message` is what it failed with, cut to a bounded length; empty where it passed."""

    __test__ = False

    name: str
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class TestTotals:
    """How many test cases there were, how many of them failed or had an error, and how many were skipped."""

    __test__ = False

    tests: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ran(self) -> int:
        """How many were not skipped."""
        return self.tests - self.skipped


@dataclass(frozen=True)
class Findings:
    """What one or more result files say. `failed` holds at most MOST_FAILED cases and `slowest` the SLOWEST slowest,
    slowest first; `flaky` names those that failed and then passed."""

    totals: TestTotals = TestTotals()
    failed: tuple[TestCase, ...] = ()
    flaky: tuple[str, ...] = ()
    slowest: tuple[TestCase, ...] = ()

    @classmethod
    def together(cls, several: Iterable[Findings]) -> Findings:
        """The findings of several files or commands as one."""
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
