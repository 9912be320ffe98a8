"""How many requests users made of a service, and what came of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

BOUNDS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000)
"""The bounds, in milliseconds, between which answers are counted by the time until they began."""
_PERCENTILE = 0.99


@dataclass(frozen=True)
class Traffic:
    """The `requests` that ended, and how many of them `failed`: the answer was 5xx, the service's own or the proxy's in
    its place, or the service broke it off. Of a service that speaks TCP they are connections, which failed where no
    container took them.

    `times` counts the answers by the bound (BOUNDS) below which they began; the last number those above all of them.
    """

    requests: int = 0
    failed: int = 0
    times: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def __add__(self, other: Traffic) -> Traffic:
        times = tuple(a + b for a, b in zip(self.times, other.times, strict=True))
        return Traffic(self.requests + other.requests, self.failed + other.failed, times)

    def __sub__(self, other: Traffic) -> Traffic:
        times = tuple(a - b for a, b in zip(self.times, other.times, strict=True))
        return Traffic(self.requests - other.requests, self.failed - other.failed, times)

    @property
    def p99(self) -> float | None:
        """The bound, in seconds, below which 99 of 100 answers began; infinite if it is above the last one, None if
        there are no answers."""
        if not (whole := sum(self.times)):
            return None
        seen = 0
        for bound, count in zip((*BOUNDS, math.inf), self.times, strict=True):
            seen += count
            if seen >= whole * _PERCENTILE:
                return bound / 1000
        raise AssertionError

    @property
    def errors(self) -> float:
        """The share of requests that failed."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def text(self) -> str:
        """In words: `12,408 requests, 0 failed, p99 under 50 ms`."""
        if not self.requests:
            return "no requests"
        return (
            f"{self.requests:,} {'request' if self.requests == 1 else 'requests'}, {self.failed:,} failed{self._slow}"
        )

    @property
    def _slow(self) -> str:
        p99 = self.p99
        if p99 is None:
            return ""
        return f", p99 over {in_words(BOUNDS[-1])}" if math.isinf(p99) else f", p99 under {in_words(p99 * 1000)}"


def in_words(milliseconds: float) -> str:
    """A bound: `50 ms`, `1.5 s`."""
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"


@dataclass(frozen=True)
class Users:
    """What users saw of a service on several hosts; `uncounted` are those of which it is not known."""

    traffic: Traffic
    uncounted: tuple[str, ...] = ()
