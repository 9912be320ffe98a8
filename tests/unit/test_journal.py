"""A line of a journal: what may stand in it, and that nothing that anybody writes into the file breaks its reader."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.errors import Symptoms
from relman.model.plan import Kind, Result
from relman.model.state_dir.journal import (
    LARGEST_LINE,
    LONGEST,
    LONGEST_REASON,
    Failed,
    JournalLine,
    Resolved,
    Served,
    bounded,
    lines_in,
    secrets_of,
    short,
)

AT = "2026-01-01T00:00:00Z"
LINE = JournalLine("d1", Kind.DEPLOY, "ann@laptop", AT, AT, Result.CHANGED, release="2", reason="INC-9")

texts = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.datetimes().map(lambda t: f"{t.year:04}-{t.month:02}-{t.day:02}T{t.hour:02}:{t.minute:02}:{t.second:02}Z")
lines = st.builds(
    JournalLine,
    id=texts.filter(bool),
    kind=st.sampled_from(Kind),
    by=texts.filter(bool),
    at=times,
    ended=times,
    result=st.sampled_from(Result),
    release=texts,
    reason=texts,
    detail=texts,
    serves=st.none() | st.builds(Served, texts, texts, texts, texts, texts, st.just("") | times),
    failed=st.none()
    | st.builds(
        Failed,
        texts,
        st.none()
        | st.builds(Symptoms, st.none() | st.integers(-1, 255), st.booleans(), texts, st.lists(texts).map(tuple)),
    ),
    unknown=st.lists(texts, max_size=3).map(tuple),
    resolved=st.none() | st.builds(Resolved, texts, texts, texts),
    users=texts,
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with keys of a line among others."""
    keys = ["version", "id", "kind", "by", "at", "ended", "result", "serves", "failed", "unknown", "symptoms", "log"]
    return st.dictionaries(st.sampled_from(keys) | st.text(), inner, max_size=8)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | objects(inner),
    max_leaves=30,
)


@given(lines)
def test_a_line_is_read_back_as_it_was_written(line: JournalLine) -> None:
    """Whatever its texts are, also when the line before it was cut off."""
    assert lines_in(line.encode()).lines == (line,)
    cut_off = lines_in(b'{"version": 1, "id"' + line.encode())
    assert (cut_off.lines, len(cut_off.passed_over)) == ((line,), 1)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """What makes no sense is passed over and counted, and the good lines around it are read."""
    before, after = replace(LINE, id="before"), replace(LINE, id="after")
    found = lines_in(before.encode() + data + after.encode())
    assert {"before", "after"} <= {line.id for line in found.lines}


@given(objects(values))
def test_no_json_breaks_the_reader(data: dict[str, Any]) -> None:
    """A line of any shape is a line, or is passed over with a reason."""
    found = lines_in(json.dumps(data).encode())
    assert len(found.lines) + len(found.passed_over) == 1


@given(st.sampled_from(sorted(json.loads(LINE.encode()))), values)
def test_a_field_of_another_type_is_passed_over(key: str, value: object) -> None:
    """Each field is checked: nothing but what relman itself could have written is taken for true."""
    wrong = lines_in(json.dumps(json.loads(LINE.encode()) | {key: value}).encode())
    assert all(isinstance(line.by, str) and line.kind in Kind for line in wrong.lines)
    if not isinstance(value, str | int) or isinstance(value, bool):
        assert wrong.lines == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "newer relman"),
        ({"version": True}, "version"),
        ({"more": 1}, "newer relman"),
        ({"at": "2026-13-01T00:00:00Z"}, "at: expected a time"),
        ({"ended": "yesterday"}, "ended: expected a time"),
        ({"reason": "x" * (LONGEST_REASON + 1)}, "longer than"),
        ({"detail": "x" * LARGEST_LINE}, "longer than"),
        ({"kind": "dance"}, "kind: expected one of"),
    ],
)
def test_what_is_no_line_of_this_version_is_passed_over_and_said(change: dict[str, Any], said: str) -> None:
    """A newer relman's line, a wrong time, an endless text: each with its reason."""
    found = lines_in(json.dumps(json.loads(LINE.encode()) | change).encode())
    assert found.lines == ()
    assert said in found.passed_over[0]


def test_the_last_line_of_an_id_counts() -> None:
    """A line that has become untrue is written once more, and takes the place of the first."""
    later = replace(LINE, result=Result.INTERRUPTED)
    other = replace(LINE, id="d2")
    assert lines_in(LINE.encode() + other.encode() + later.encode()).lines == (other, later)


def test_the_beginning_that_was_cut_off_is_no_fault() -> None:
    """Only the end of a large file is read."""
    assert lines_in(b'c"}\n' + LINE.encode(), whole=False).passed_over == ()


def test_what_a_container_said_is_bounded_and_holds_no_secret() -> None:
    """At most ten lines of 200 characters, the last ones, with no variable's value in them, however it is cut."""
    mask = secrets_of(["hunter22", "two\nlines of it", "80"])
    log = [*(f"line {n}" for n in range(20)), "password=hunter22 on port 80", "x" * 195 + "hunter22", "lines of it"]
    failed = bounded(Failed("it said hunter22", Symptoms(1, probe="hunter22" * 99, log=tuple(log))), mask)
    seen = failed.symptoms
    assert seen
    assert len(seen.log) == 10
    assert all(len(line) <= LONGEST for line in (*seen.log, seen.probe, failed.what))
    assert seen.log[-3] == "password=*** on port 80"
    assert seen.log[-1] == "***"
    assert "hunter" not in repr(failed)
    assert short("x" * 300, mask).endswith("…")


def test_a_line_has_its_end_whatever_it_is_about() -> None:
    """The largest line that relman writes can be read back."""
    wide = "\U0001f600" * LONGEST
    failed = Failed(wide, Symptoms(1, True, wide, (wide,) * 10))
    full = replace(LINE, reason="\U0001f600" * LONGEST_REASON, failed=failed, unknown=(wide,) * 50, detail=wide)
    assert lines_in(full.encode()).lines == (full,)
