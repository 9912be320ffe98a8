"""Secrets in output, environments before anything starts, and work side by side."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.engine.line_buffer import LONGEST, Lines
from relman.ci.testing.interpolation import Values, port_of, require_values, secrets_of
from relman.ci.testing.parallel import Task, side_by_side
from relman.ci.testing.run_context import Linked
from relman.model.errors import Cancelled, TestsFailed, UsageError
from relman.model.formats.mask import HIDDEN, Mask
from relman.model.run import RunName
from relman.model.service import LinkedService, TestStage

SECRET = "hunter2-é"


@given(st.lists(st.integers(1, 9000), max_size=4), st.integers(0, 2 * LONGEST), st.booleans())
def test_a_secret_is_hidden_wherever_it_is_cut(cuts: list[int], before: int, line_end: bool) -> None:
    """However a text comes in pieces and goes out in parts, no part holds the secret, and no two parts together."""
    text = "x" * before + SECRET + "y" * 100 + ("\n" if line_end else "")
    shown: list[str] = []
    lines = Lines(shown.append, mask=Mask([SECRET]))
    for size in cuts:
        lines.feed(text[:size])
        text = text[size:]
    lines.feed(text)
    lines.end()
    whole = "".join(shown)
    assert SECRET not in whole
    assert whole.replace(HIDDEN, "") == "x" * before + "y" * 100
    assert max(map(len, shown)) <= LONGEST


def test_every_line_of_a_secret_is_hidden() -> None:
    """A key of several lines is hidden as a whole and line by line; empty secrets hide nothing."""
    mask = Mask(["first\nsecond\r\n}\n\nthird", "", "fir"])
    assert mask("a first\nsecond\r\n}\n\nthird z") == f"a {HIDDEN} z"
    assert mask("third, second, fire, }") == f"{HIDDEN}, {HIDDEN}, {HIDDEN}e, }}"
    assert Mask([""])("abc") == "abc"


def stage(**env: str) -> TestStage:
    """A stage with a database and these variables."""
    return TestStage((LinkedService("db", "postgres:15", {"P": "${secret:DB_PASSWORD}"}),), env)


DATABASE = Linked("db", "id", ((53, "udp"), (80, "tcp"), (5432, "tcp")), {"USER": "shop", "EMPTY": ""})


def test_only_secrets_that_are_referred_to_are_read() -> None:
    """Secrets of tests and services are known to be hidden; the CI's other variables are not looked at."""
    environ = {"TOKEN": "t", "DB_PASSWORD": "p", "OTHER": "o"}
    assert sorted(secrets_of(stage(A="${secret:TOKEN}${secret:MISSING:-x}"), environ)) == ["p", "t"]


def test_every_missing_value_is_said_before_anything_starts() -> None:
    """Secrets, ports and variables that are not there are errors, all at once, and none shows a secret."""
    values = Values(RunName("shop", "1"), {"TOKEN": "hidden"})
    with pytest.raises(UsageError) as error:
        require_values(
            stage(
                A="${secret:TOKEN}${secret:MISSING}",
                B="${db.port.81}",
                C="${db.env.NOBODY}",
                D="${db.host}${db.port}${run.id}${db.env.USER}${db.env.EMPTY}${db.port.81:-81}",
            ),
            values,
            {"db": DATABASE},
        )
    assert error.value.details == (
        "test.env.A: secret:MISSING has no value here",
        "test.env.B: db.port.81 has no value here",
        "test.env.C: db.env.NOBODY has no value here",
        "test.services.db.env.P: secret:DB_PASSWORD has no value here",
    )
    assert "hidden" not in f"{error.value}{error.value.details}{error.value.hint}"


def test_the_port_of_a_service() -> None:
    """Without a number it is the lowest TCP port, as in the link variables; with one, that port if it is open."""
    assert port_of(DATABASE.ports, "") == "80"
    assert port_of(DATABASE.ports, "5432") == "5432"
    assert port_of(DATABASE.ports, "81") is None
    assert port_of([(53, "udp")], "") == "53"
    assert port_of([], "") is None


NAMES = "abcdef"


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))))
def test_the_order_of_work_is_kept(graph: dict[str, set[str]]) -> None:
    """Nothing begins before all that it comes after has ended, and every result is returned under its name."""
    after = {name: {other for other in graph.get(name, ()) if other < name} for name in NAMES}
    ended: list[str] = []
    early: list[str] = []

    def task(name: str) -> Task[str]:
        def run(_stop: threading.Event) -> str:
            early.extend(after[name] - set(ended))
            ended.append(name)
            return name.upper()

        return run

    results = side_by_side({name: task(name) for name in NAMES}, after)
    assert early == []
    assert list(results.items()) == [(name, name.upper()) for name in NAMES]


def test_independent_work_is_done_at_once() -> None:
    """Two tasks that wait for each other both end: neither waits for its turn."""
    meeting = threading.Barrier(2, timeout=5)
    assert side_by_side({"a": lambda _: meeting.wait() >= 0, "b": lambda _: meeting.wait() >= 0}) == {
        "a": True,
        "b": True,
    }


def test_the_first_error_ends_all() -> None:
    """The others are told to stop and have stopped when the error is raised; what comes after never begins."""
    stopped: list[str] = []
    begun: list[str] = []

    def fails(_: threading.Event) -> None:
        raise TestsFailed("service a died")

    def waits(stop: threading.Event) -> None:
        assert stop.wait(5)
        stopped.append("b")
        raise Cancelled("given up")

    start = time.monotonic()
    with pytest.raises(TestsFailed, match="service a died"):
        side_by_side({"a": fails, "b": waits, "c": lambda _: begun.append("c")}, {"c": ["b"]})
    assert (stopped, begun) == (["b"], [])
    assert time.monotonic() - start < 4
