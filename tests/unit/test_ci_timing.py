"""Where the time of a run goes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.engine.stopwatch import Watch, covered, process_age

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (float(p[0]), float(p[0] + p[1])))


@given(st.lists(SPAN, max_size=8))
def test_time_is_counted_once(spans: list[tuple[float, float]]) -> None:
    """However spans lie over each other, each second in which any of them runs counts once."""
    assert covered(spans) == sum(any(b <= second < e for b, e in spans) for second in range(100))


def test_a_watch() -> None:
    """Waits inside of waits count once, stages are timed, and an error does not stop the clock."""
    ticks = itertools.count(0, 1.0)
    watch = Watch(now=lambda: next(ticks))
    with watch.stage("test"), watch.waiting(), watch.waiting():
        pass
    with pytest.raises(ZeroDivisionError), watch.waiting():
        next(ticks) / 0
    assert watch.others_total() == 3 + 2
    assert watch.stages == {"test": 5.0}


def test_the_age_of_this_process() -> None:
    """It is known on Linux, and no shorter than what the process can remember."""
    first = process_age()
    second = process_age()
    assert first is not None
    assert second is not None
    assert 0 < first <= second
