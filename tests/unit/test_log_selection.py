"""Which lines `relman logs --since --until --grep` shows."""

from __future__ import annotations

import pytest

from relman.app.looking.log_selection import LogSelection
from relman.docker import streams
from relman.model.errors import UsageError

NOON = 1769860800.0  # 2026-01-31T12:00:00Z
LINES = [
    "2026-01-31T11:59:59.999999999Z before",
    "2026-01-31T12:00:00Z GET /one",
    "2026-01-31T13:00:30.5+01:00 GET /two",
    "2026-01-31T12:01:00.000000001Z after",
    "nonsense",
]


def _shown(selection: LogSelection, now: float = NOON) -> list[str]:
    return [line.rpartition(" ")[2] for line in filter(selection.checked().on(lambda: now).takes, LINES)]


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        (LogSelection(since="2026-01-31 12:00"), ["/one", "/two", "after"]),
        (LogSelection(until="2026-01-31T13:00:00+01:00"), ["before", "/one"]),
        (LogSelection(since="2026-01-31T12:00:30.6Z"), ["after"]),
        (LogSelection("2026-01-31T12:00Z", "2026-01-31T12:00:59Z"), ["/one", "/two"]),
        (LogSelection(grep="^GET .(?!one)"), ["/two"]),
        (LogSelection(since="2026-01-31T12:00:01Z", grep="GET|after"), ["/two", "after"]),
        (LogSelection(grep="2026"), []),
    ],
)
def test_a_span_and_a_pattern_select(selection: LogSelection, shown: list[str]) -> None:
    """Times are compared to their fraction and across offsets; the pattern is sought in the text alone; a line without
    a time is in no span."""
    assert _shown(selection) == shown


@pytest.mark.parametrize(("ago", "seconds"), [("90s", 90), ("2h30m", 9000), ("1d", 86400), ("1d1s", 86401), ("0s", 0)])
def test_ago_counts_from_the_hosts_clock(ago: str, seconds: int) -> None:
    """A duration is subtracted from the clock of the host whose log it is."""
    assert LogSelection(since=ago).on(lambda: NOON).since == NOON - seconds
    assert LogSelection(until=ago).on(lambda: NOON + 5).until == NOON + 5 - seconds


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (LogSelection(since="yesterday"), "'yesterday' is not a time"),
        (LogSelection(until=""), "'' is not a time"),
        (LogSelection(since="5"), "'5' is not a time"),
        (LogSelection(since="m5"), "'m5' is not a time"),
        (LogSelection(since="1m", until="2m"), "--until 2m is before --since 1m"),
        (LogSelection("2026-02-01", "2026-01-01"), "is before"),
        (LogSelection(grep="("), "--grep '(': missing ), unterminated subpattern"),
    ],
)
def test_what_selects_nothing_is_refused(selection: LogSelection, said: str) -> None:
    """What is no time or no pattern is an error that says how one is written."""
    with pytest.raises(UsageError) as raised:
        selection.checked()
    assert said in raised.value.what


def test_the_last_lines_are_bounded_in_number_and_size() -> None:
    """However long a log is, what is kept of it has a limit."""
    lines = [str(number) for number in range(10, 100)]
    assert streams.last(lines, 3, 100) == ["97", "98", "99"]
    assert streams.last(lines, 50, 5) == ["98", "99"]
    assert streams.last(["long" * 9], 5, 5) == []
