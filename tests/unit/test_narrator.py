"""The demo fails loudly where something is not as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo.narrator import Person, Untrue


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody with a shell."""
    return Person({"WORD": "hello"}, tmp_path)


def test_a_command_is_shown_as_typed_with_what_it_said(person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    """The audience sees the line, both output streams, and an exit code that is not 0."""
    person.types("sh -c 'echo $WORD; echo oops >&2; exit 3'", code=3, says="oops")
    shown = capsys.readouterr().out
    assert shown == "\n$ sh -c 'echo $WORD; echo oops >&2; exit 3'\n  hello\n  oops\n  (exit code 3)\n"


@pytest.mark.parametrize(("line", "code", "says"), [("false", 0, ""), ("true", 5, ""), ("echo a", 0, "b")])
def test_another_end_or_other_words_stop_the_demo(person: Person, line: str, code: int, says: str) -> None:
    """A wrong exit code, or words that did not come, are never passed over."""
    with pytest.raises(Untrue, match=line):
        person.types(line, code=code, says=says)


def test_a_question_that_fails_stops_the_demo(person: Person) -> None:
    """Also a command that is not shown must succeed."""
    assert person.asks("echo yes") == "yes\n"
    with pytest.raises(Untrue):
        person.asks("false")
