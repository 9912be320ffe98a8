"""Tables are read in terminals of 80 columns and of 40, and nobody reads the same word in every row."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.cli.output.printer import Output
from relman.cli.output.tables import table

STATUS = ("HOST", "SERVICE", "RELEASE", "DIGEST", "SINCE", "BY", "HEALTH", "ROLLBACK")
ROWS = [
    ["h1", "shop", "2", "f4e2d2633b07", "7 s ago", "carol@laptop (rolled back)", "healthy", "1 ready"],
    ["h2", "shop", "1", "e152807c2ecd", "9 s ago", "carol@laptop (rolled back)", "unhealthy: GET /: 503", "none"],
]
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
CELLS = st.lists(WORDS, max_size=9).map(" ".join)


def lines(columns: tuple[str, ...], rows: list[list[str]], width: int, shared: tuple[str, ...] = ()) -> list[str]:
    """All of a table."""
    made = table(columns, rows, width, shared)
    return [*made.head, *made.body]


def test_columns_line_up() -> None:
    """What fits is a plain table, and no row can break out of its line."""
    assert lines(("A", "BB"), [["long", "x\ny"], ["s", ""]], 80) == ["A     BB", "long  x y", "s"]


def test_what_all_rows_share_is_said_once_below() -> None:
    """What one row says is no repetition, and what none says is not said."""
    columns, rows = ("HOST", "SERVICE", "ALSO"), [["h1", "shop", ""], ["h2", "shop", ""]]
    assert lines(columns, rows, 80, columns[1:]) == ["HOST", "h1", "h2", "all: service shop"]
    assert lines(columns, rows, 80) == ["HOST  SERVICE  ALSO", "h1    shop", "h2    shop"]
    assert lines(columns, rows[:1], 80, columns[1:]) == ["HOST  SERVICE  ALSO", "h1    shop"]


def test_who_says_nothing_does_not_keep_the_others_from_sharing() -> None:
    """A host that did not answer has no service, release or digest to show, and the others still fit one line each."""
    silent = ["h3", "", "", "", "", "", "no answer", ""]
    assert lines(STATUS, [*ROWS, silent], 80, ("SERVICE", "BY")) == [
        "HOST  RELEASE  DIGEST        SINCE    HEALTH                 ROLLBACK",
        "h1    2        f4e2d2633b07  7 s ago  healthy                1 ready",
        "h2    1        e152807c2ecd  9 s ago  unhealthy: GET /: 503  none",
        "h3                                    no answer",
        "all others: service shop",
        "all others: by carol@laptop (rolled back)",
    ]
    assert lines(STATUS, [ROWS[0], silent], 120, ("SERVICE", "BY"))[0].split() == list(STATUS)


def test_what_is_too_wide_goes_on_below() -> None:
    """At 80 columns a row may take two lines, cell by cell."""
    assert lines(STATUS, ROWS, 80, ("SERVICE", "BY")) == [
        "HOST  RELEASE  DIGEST        SINCE    HEALTH                 ROLLBACK",
        "h1    2        f4e2d2633b07  7 s ago  healthy                1 ready",
        "h2    1        e152807c2ecd  9 s ago  unhealthy: GET /: 503  none",
        "all: service shop",
        "all: by carol@laptop (rolled back)",
    ]
    assert lines(("HOST", "RESULT", "DETAIL"), [["h1", "changed", "2: down for 0.45 s, healthy 0.31 s later"]], 40) == [
        "HOST  RESULT   DETAIL",
        "h1    changed  2: down for 0.45 s,",
        "               healthy 0.31 s later",
    ]


def test_what_is_no_table_any_more_is_a_list() -> None:
    """At 40 columns each row of a wide table is a list under its first cell."""
    assert lines(STATUS, ROWS[:1], 40) == [
        "h1",
        "  service   shop",
        "  release   2",
        "  digest    f4e2d2633b07",
        "  since     7 s ago",
        "  by        carol@laptop (rolled back)",
        "  health    healthy",
        "  rollback  1 ready",
    ]


@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4), st.sampled_from([40, 80, 120]))
def test_no_word_is_broken_and_none_is_lost(rows: list[list[str]], width: int) -> None:
    """Every word of every cell stands on some line as it is, and every line fits: words of 12 letters always do."""
    columns = ("HOST", "RELEASE", "HEALTH", "DETAIL")
    shown = lines(columns, rows, width, columns[2:])
    assert max(map(len, shown)) <= width
    there = {word for line in shown for word in line.split()}
    assert {word for row in rows for cell in row for word in cell.split()} <= there


@pytest.mark.parametrize(("columns", "count"), [("", 2), ("40", 3), ("0", 2), ("wide", 2)])
def test_the_width_is_what_the_environment_says_else_80(columns: str, count: int) -> None:
    """COLUMNS wins, as for other programs; what is no number is none."""
    out = io.StringIO()
    output = Output(json=False, environ={"COLUMNS": columns}, stdout=out, stderr=io.StringIO(), stdin=None)
    output.table(("HOST", "RESULT", "DETAIL"), [["h1", "changed", "2: down for 0.45 s, healthy 0.31 s later"]])
    assert len(out.getvalue().splitlines()) == count
