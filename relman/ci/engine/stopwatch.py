"""Where the time of a run goes: into the engine's, the services' and the tests' own work, or into relman's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Interval = tuple[float, float]


@dataclass
class Watch:
    """Notes when somebody else was at work, from any thread, and how long each stage took; in seconds, by `now`."""

    now: Callable[[], float] = time.monotonic
    others: list[Interval] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the body runs, relman waits for others."""
        begin = self.now()
        try:
            yield
        finally:
            self.others.append((begin, self.now()))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The body is a stage of the run."""
        begin = self.now()
        try:
            yield
        finally:
            self.stages[name] = self.now() - begin

    def others_total(self) -> float:
        """How long at least one of the others was at work."""
        return covered(self.others)


def covered(intervals: Iterable[Interval]) -> float:
    """The length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def process_age() -> float | None:
    """For how many seconds this process has been there, its interpreter's start included; None where the system does
    not say (proc(5), starttime)."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):
        return None
