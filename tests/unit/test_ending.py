"""How what happened becomes what a command came to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.cli.exits import exit_of
from relman.model.errors import (
    Cancelled,
    CheckFailed,
    HookFailed,
    Interrupted,
    MixedFleet,
    NotServing,
    RelmanError,
    RolledBack,
    StepFailed,
    TaskFailed,
    Unknown,
    Unreachable,
)
from relman.model.plan import Action, Kind, Outcome, Plan, Result, Step, Wave
from relman.rollout.conclusion import NO_HOST, Happened, conclude, failed, silenced
from tests.unit.values import deployed

ENTRY = deployed("d1", release="2")
CAUSES = [StepFailed("x"), Unreachable("x"), CheckFailed("x"), Cancelled("x")]


def plan(*hosts: str, kind: Kind = Kind.DEPLOY) -> Plan:
    """A plan that changes these hosts in one wave."""
    steps = tuple(Step(h, Action.REPLACE, ENTRY) for h in hosts)
    return Plan("d1", kind, "shop", "production", "2", (Wave(steps),), place="-e production")


def happened(**results: Result) -> Happened:
    """Hosts with these results, after the step on h1 had failed."""
    outcomes = tuple(Outcome(h, r, "detail") for h, r in results.items())
    return Happened(plan(*results), outcomes, {"h1": StepFailed("broke", host="h1")})


@given(
    results=st.lists(st.sampled_from(Result), min_size=1, max_size=5),
    causes=st.lists(st.sampled_from(CAUSES), max_size=3),
    cancelled=st.booleans(),
    begun=st.booleans(),
    unsafe=st.booleans(),
    kind=st.sampled_from(Kind),
)
def test_every_ending_says_no_more_than_is_known(
    results: list[Result], causes: list[RelmanError], cancelled: bool, begun: bool, unsafe: bool, kind: Kind
) -> None:
    """A host that serves nothing, is left half way or is unknown is never passed over; success needs every host to be
    as the plan meant it; that all runs as before is said only where no host serves something new."""
    hosts = [f"h{n}" for n, _ in enumerate(results)]
    what = Happened(
        plan(*hosts, kind=kind),
        tuple(Outcome(h, r) for h, r in zip(hosts, results, strict=True)),
        dict(zip(hosts, causes, strict=False)) if kind in (Kind.DEPLOY, Kind.ROLLBACK) else {},
        cancelled=cancelled,
        begun=begun,
        tasks=("migrate",) if unsafe else (),
        unsafe=("migrate",) if unsafe else (),
    )
    error = conclude(what)
    if Result.NOT_SERVING in results:
        assert isinstance(error, NotServing)
    elif {Result.INTERRUPTED, Result.FAILED} & set(results):
        assert isinstance(error, Interrupted | MixedFleet)
    elif Result.UNKNOWN in results:
        assert isinstance(error, Unknown)
        away = [h for h, r in zip(hosts, results, strict=True) if r is Result.UNKNOWN]
        assert all(h in error.what for h in away)
        assert "every host" not in error.what
    elif error is None:
        assert set(results) <= {Result.CHANGED, Result.UNCHANGED, Result.REMOVED, Result.RETURNED} or not what.failures
    if isinstance(error, NotServing | Unknown):
        assert "relman recover -e production" in error.hint
        assert "relman status" not in error.hint, "which would only send the reader back"
    if isinstance(error, RolledBack | CheckFailed) and begun:
        assert Result.CHANGED not in results


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ({"h1": Result.RETURNED, "h2": Result.NOT_REACHED}, 5),
        ({"h1": Result.FAILED, "h2": Result.RETURNED}, 6),
        ({"h1": Result.UNKNOWN, "h2": Result.RETURNED}, 11),
        ({"h1": Result.UNKNOWN, "h2": Result.NOT_SERVING}, 10),
        ({"h1": Result.INTERRUPTED, "h2": Result.UNKNOWN}, 7),
        ({"h1": Result.RETURNED, "h2": Result.CHANGED}, 6),
    ],
)
def test_the_gravest_decides_the_code(results: dict[str, Result], code: int) -> None:
    """Not serving, then interrupted, different releases, unknown, and only then that all went back."""
    error = conclude(happened(**results))
    assert error
    assert exit_of(type(error)) == code


def test_a_failed_check_that_went_back_has_a_code_of_its_own() -> None:
    """Where nothing but the canary's check failed, and every host runs what it ran before."""
    error = conclude(
        Happened(plan("h1"), (Outcome("h1", Result.RETURNED, "back on 1"),), {"h1": CheckFailed("GET /: 503")})
    )
    assert isinstance(error, CheckFailed)
    assert "every host runs what it ran before" in error.what


def test_what_fails_before_the_first_change_is_the_cause_itself() -> None:
    """A hook's own error; but once a task had begun it is not said that nothing was changed."""
    outcomes = (Outcome("h1", Result.NOT_REACHED, "not started"),)
    hook = HookFailed("the hook says no")
    assert conclude(Happened(plan("h1"), outcomes, {NO_HOST: hook}, begun=False)) is hook
    task = TaskFailed("ended with exit code 1", host="h1")
    error = conclude(Happened(plan("h1"), outcomes, {"h1": task}, begun=False, tasks=("migrate",)))
    assert isinstance(error, RolledBack)
    assert error.what == task.what


def test_a_host_that_falls_silent_at_the_end_is_unknown() -> None:
    """Whatever was seen of it before: the report then claims nothing about it, and its last known state is told."""
    outcomes = (Outcome("h1", Result.CHANGED, "2"), Outcome("h2", Result.CHANGED, "2"))
    last = silenced(Happened(plan("h1", "h2"), outcomes), {"h1": Unreachable("the SSH connection broke", host="h1")})
    error = conclude(last)
    assert isinstance(error, Unknown)
    assert "h1 did not answer" in error.what
    assert "h2 runs 2" in error.what
    assert last.outcomes[0].detail == "no answer at the end; changed before (2)"


def test_no_answer_is_not_a_failure() -> None:
    """What a host that does not answer is, nobody knows; one that answers with an error has failed."""
    assert failed("h1", Unreachable("the SSH connection broke")).result is Result.UNKNOWN
    assert failed("h1", StepFailed("has ended")).result is Result.FAILED
