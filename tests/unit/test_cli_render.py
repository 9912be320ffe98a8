"""What is printed can be read by a tired person, and cannot be forged by a host."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.cli.output.printer import Output
from relman.cli.output.text import age, size, span
from relman.model.errors import PreflightFailed, UsageError
from relman.model.formats.text import clean, one_line

NOW = datetime(2026, 1, 31, tzinfo=UTC)


class Terminal(io.StringIO):
    """A terminal that remembers what it was shown."""

    def isatty(self) -> bool:
        """Always."""
        return True


def _output(
    *, json: bool = False, terminal: bool = False, answer: str = "", **environ: str
) -> tuple[Output, io.StringIO, io.StringIO]:
    kind = Terminal if terminal else io.StringIO
    out, err = kind(), kind()
    return Output(json=json, environ=environ, stdout=out, stderr=err, stdin=kind(answer)), out, err


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    """Whatever a host says, the terminal is told to do nothing but to go to the next line or tab stop."""
    shown = clean(text)
    assert all(c.isprintable() or c in "\n\t" or not c.isascii() for c in shown)
    assert not any(0x7F <= ord(c) <= 0x9F for c in shown)
    shown.encode()
    assert "\n" not in one_line(text)


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """Names in any script are shown as they are."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 kB"), (1, "1 kB"), (26_400_000, "26 MB"), (1_240_000_000, "1.2 GB")]
)
def test_a_size_is_said_in_its_largest_unit(count: int, said: str) -> None:
    """Nobody reads the bytes of a pull, and something is never nothing."""
    assert size(count) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb", "a\\rb"),
        ("a\r\nb", "a\nb"),
        ("\x1b", "\\x1b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
    ],
)
def test_terminal_sequences_are_taken_out(text: str, shown: str) -> None:
    """Colours go; what is left of a sequence is shown as its escape."""
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86400, "1 day"), (200000, "2 days")],
)
def test_times_are_said_in_their_largest_unit(seconds: float, said: str) -> None:
    """One unit is enough for a person."""
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ((NOW - timedelta(minutes=3)).isoformat(), "3 min ago"),
        ("2026-01-30T00:00:00Z", "1 day ago"),
        ("2026-01-31T00:00:05Z", "just now"),
        ("2026-01-31", "2026-01-31"),
        ("yesterday", "yesterday"),
    ],
)
def test_an_age_is_said_as_people_say_it(then: str, said: str) -> None:
    """A clock that is a little ahead is no future; what is no time is shown as it is."""
    assert age(then, NOW) == said


def test_an_error_says_what_where_and_what_to_do() -> None:
    """Host, sentence, details and hint, each on lines of its own, all cleaned."""
    output, out, err = _output()
    output.error(PreflightFailed("the disk is full", host="h2", details=["a\x1b[2Jb\nc"], hint="Make room."))
    assert err.getvalue() == "error: h2: the disk is full\n    ab\n    c\nhint: Make room.\n"
    assert out.getvalue() == ""


def test_under_json_only_documents_reach_stdout() -> None:
    """Commentary goes to stderr, text for people nowhere."""
    output, out, err = _output(json=True)
    output.line("result")
    output.table(["A"], [["b"]])
    output.note("building")
    with output.progress(["h1"]) as hosts:
        hosts.update("h1", "pulling")
    output.json("thing", {"a": 1})
    assert json.loads(out.getvalue()) == {"version": 1, "kind": "thing", "a": 1}
    assert err.getvalue() == "building\nh1: pulling\n"


def test_without_json_documents_are_not_printed() -> None:
    """A verb may offer both forms without asking which is wanted."""
    output, out, _ = _output()
    output.json("thing", {"a": 1})
    output.line("result")
    assert out.getvalue() == "result\n"


def test_progress_without_a_terminal_is_one_line_a_phase() -> None:
    """A log shows each phase once, and which host failed."""
    output, out, _ = _output()
    with output.progress(["h1", "h2"]) as hosts:
        hosts.update("h1", "pulling")
        hosts.finish("h1", "healthy", ok=True)
        hosts.finish("h2", "no answer", ok=False)
    assert out.getvalue() == "h1: pulling\nh1: healthy\nh2: FAILED: no answer\n"


def test_progress_on_a_terminal_ends_with_every_outcome() -> None:
    """The last picture shows each host; what was printed meanwhile stands above it, on stderr's terminal too."""
    output, out, err = _output(terminal=True, TERM="xterm", NO_COLOR="1")
    with output.progress(["h1", "[red]h2"]) as hosts:
        hosts.update("h1", "pulling")
        output.note("[bold]note")
        output.warn("careful")
        hosts.finish("h1", "healthy", ok=True)
        hosts.finish("[red]h2", "no answer", ok=False)
    output.line("after")
    shown = out.getvalue()
    last = shown.rpartition("careful")[2]
    assert "healthy" in last
    assert "[red]h2" in last
    assert "no answer" in last
    assert "[bold]note" in shown
    assert "\x1b[3" not in shown.replace("\x1b[3A", "")
    assert shown.endswith("after\n")
    assert err.getvalue() == ""


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("Yes\n", True), ("\n", False), ("", False), ("no\n", False)]
)
def test_only_yes_confirms(answer: str, agreed: bool) -> None:
    """Return alone, the end of input and everything else decline."""
    output, _, err = _output(terminal=True, answer=answer)
    assert output.confirm("Deploy?") is agreed
    assert err.getvalue() == "Deploy? [y/N] "


@pytest.mark.parametrize("json", [True, False])
def test_nothing_is_asked_without_a_terminal(json: bool) -> None:
    """A program gets an error that names --yes instead of a question."""
    output, _, err = _output(json=json, terminal=json, answer="y\n")
    with pytest.raises(UsageError) as caught:
        output.confirm("Deploy?")
    assert "--yes" in caught.value.hint
    assert err.getvalue() == ""
