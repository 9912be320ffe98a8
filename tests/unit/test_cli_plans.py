"""What a person reads when a deployment has ended."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from relman.cli.output.plan_view import recap, show_plan
from relman.cli.output.printer import Output
from relman.model.errors import RolledBack
from relman.model.plan import Action, Kind, Outcome, Plan, Result, Step, Wave
from relman.model.proxy import Traffic, Users
from relman.model.state_dir.record import Unit
from relman.rollout.progress import Report
from tests.unit.values import deployed


def said(report: Report) -> str:
    """The recap as it is printed."""
    out = io.StringIO()
    recap(Output(json=False, environ={}, stdout=out, stderr=io.StringIO(), stdin=None), report)
    return out.getvalue()


def plan(*steps: Step, kind: Kind = Kind.DEPLOY) -> Plan:
    """A plan of release 118."""
    return Plan("id", kind, "shop", "production", "118", (Wave(steps),))


def step(host: str, action: Action = Action.REPLACE, *, verified: bool = True) -> Step:
    """A step towards release 118."""
    entry = deployed("id", release="118")
    return Step(host, action, entry if verified else type(entry)(**vars(entry) | {"verified": False}))


def test_a_set_in_which_nothing_stops_first_starts_first() -> None:
    """The plan says so of several processes as of a single one."""
    one = step("h1")
    several = replace(one, entry=replace(one.entry, units=(Unit("web", 1, "web-1"), Unit("worker", 1, "worker-1"))))
    for each in (one, several):
        out = io.StringIO()
        show_plan(Output(json=False, environ={}, stdout=out, stderr=io.StringIO(), stdin=None), plan(each))
        assert "start-first: nothing is shared" in out.getvalue()


def changed(host: str, gap: float | None = None) -> Outcome:
    """A host that was changed."""
    return Outcome(host, Result.CHANGED, "118", gap=gap, boot=0.5)


def test_each_host_has_its_line_and_the_end_is_a_sentence() -> None:
    """The gap is told where there was one, its absence where something was replaced, neither on a first start."""
    steps = (step("h1"), step("h2"), step("h3", Action.START))
    report = Report(plan(*steps), (changed("h1", 0.25), changed("h2"), changed("h3")))
    assert said(report).splitlines()[1:] == [
        "h1    changed  118: down for 0.25 s, healthy 0.50 s later",
        "h2    changed  118: healthy 0.50 s after its start, no gap",
        "h3    changed  118: healthy 0.50 s after its start",
        "done: shop 118 serves on 3 hosts of production",
    ]


def test_what_nobody_checked_is_not_called_healthy() -> None:
    """Without a health check the recap claims no more than that it runs."""
    text = said(Report(plan(step("h1", verified=False)), (changed("h1"),)))
    assert "unverified" in text
    assert "healthy" not in text


def test_what_users_saw_is_told_as_far_as_it_is_known() -> None:
    """Before the sentence of success, and with the hosts that were not counted."""
    seen = Users(Traffic(12408, 2), ("h2",))
    said_of = said(replace(Report(plan(step("h1")), (changed("h1", 0.0),)), users=seen)).splitlines()
    assert said_of[-2:] == [
        "while it changed: 12,408 requests, 2 failed (not counted: h2)",
        "done: shop 118 serves on 1 host of production",
    ]
    assert said_of[1].endswith("no gap")


def test_a_failure_is_not_called_done() -> None:
    """The error comes after the table, and no sentence of success before it."""
    outcomes = (Outcome("h1", Result.RETURNED, "back on 117"),)
    text = said(Report(plan(step("h1")), outcomes, RolledBack("failed")))
    assert "back on 117" in text
    assert "done" not in text


@pytest.mark.parametrize(("kind", "text"), [(Kind.RECOVER, "nothing to recover"), (Kind.DEPLOY, "")])
def test_where_nothing_was_to_be_done_no_table_says_so(kind: Kind, text: str) -> None:
    """A recovery that found nothing says it in a sentence; a deployment said it with its plan."""
    shown = said(Report(plan(kind=kind), (Outcome("h1", Result.UNCHANGED, "118"),)))
    assert "h1" not in shown
    assert shown.startswith(text)


@pytest.mark.parametrize(
    ("kind", "result", "last"),
    [
        (Kind.REMOVE, Result.REMOVED, "done: shop was removed from 1 host of production"),
        (Kind.RECOVER, Result.RETURNED, "done: shop in production is consistent again"),
    ],
)
def test_the_last_sentence_is_about_what_was_done(kind: Kind, result: Result, last: str) -> None:
    """A removal does not end with what serves, nor counts hosts on which there was nothing."""
    outcomes = (Outcome("h1", result, ""), Outcome("h2", Result.UNCHANGED, "it was not there"))
    assert said(Report(plan(kind=kind), outcomes)).splitlines()[-1] == last
