"""Gates about the results of the tests in exactly this image."""

from __future__ import annotations

from datetime import datetime, timedelta

from relman.evidence.assessment import Facts, Subject
from relman.evidence.gates.verdict import Verdict, passes, stops
from relman.evidence.rules import RuleName
from relman.evidence.test_result import SMOKE_ONLY, TestResult, some
from relman.evidence.trust import SKEW
from relman.model.policy import MaximumAge, MinimumTests, NoFailures, NoFlaky

TESTS_PASSED = "tests-passed"
_TEST_IT = "Run its tests (relman ci, or relman test), and promote it when they pass."


def tests_passed(facts: Facts) -> Verdict:
    """Pass if the newest test result is of this configuration and passed. Required of every image."""
    if not facts.results:
        return stops(
            TESTS_PASSED,
            f"nothing in the registry shows that {facts.subject.manifest} passed its tests (rule {RuleName.PRESENT})",
            f"{_TEST_IT} If it is a release under another name, in its checkout: {copying(facts.subject)}",
            absent=True,
        )
    result = facts.result
    if result is None:
        tested = facts.results[0][0].config
        return stops(
            TESTS_PASSED,
            f"what was tested is {tested.short}, the image is {facts.subject.config.short} (rule {RuleName.CONFIG})",
            "Promote the image that was tested.",
        )
    if fault := result.fault:
        return stops(TESTS_PASSED, f"{fault} (rule {RuleName.PASSED})", _TEST_IT)
    return passes(TESTS_PASSED, f"{_tests(result.tests)} passed{_how(result)}{_where(result)}")


def copying(subject: Subject, tag: str = "") -> str:
    """The command that copies a release from elsewhere to this repository, as `tag`, with its evidence."""
    return f"relman promote {tag or subject.tag or 'TAG'} --to {subject.repository}"


def minimum_tests(rule: MinimumTests, facts: Facts, _: datetime) -> Verdict:
    """Pass if enough tests passed."""
    gate, result = "minimum-tests", facts.result
    if result is None:
        return nothing(gate)
    said = f"{_tests(result.tests)} passed, {rule.count} are required{_how(result)}"
    if result.tests < rule.count:
        return stops(gate, said, "Run more tests.")
    return passes(gate, said)


def no_failures(_: NoFailures, facts: Facts, __: datetime) -> Verdict:
    """Pass if no test failed."""
    gate, result = "no-failures", facts.result
    if result is None:
        return nothing(gate)
    if result.failures:
        return stops(gate, f"{_tests(result.failures)} failed{some(result.failed)}", "Make them pass.")
    return passes(gate, "no test failed")


def no_flaky(_: NoFlaky, facts: Facts, __: datetime) -> Verdict:
    """Pass if no test needed a retry."""
    gate, result = "no-flaky", facts.result
    if result is None:
        return nothing(gate)
    if result.flaky:
        count = len(result.flaky)
        return stops(gate, f"{_tests(count)} passed only when run again{some(result.flaky)}", "Make them reliable.")
    return passes(gate, "no test was flaky")


def maximum_age(rule: MaximumAge, facts: Facts, now: datetime) -> Verdict:
    """Pass if the tests ended recently enough."""
    gate, result = "maximum-age", facts.result
    if result is None:
        return nothing(gate)
    if result.ended is None:
        return stops(gate, "the test result does not say when the tests ended", _TEST_IT)
    if result.ended > now + SKEW:
        why = f"the tests claim to have ended at {result.finished}, which is in the future (rule {RuleName.NOT_FUTURE})"
        return stops(gate, why, "Set the clocks of those who test and of those who check.")
    age = max(now - result.ended, timedelta())
    said = f"the tests ended {span(age)} ago, at most {span(timedelta(seconds=rule.seconds))} are allowed"
    if age.total_seconds() > rule.seconds:
        return stops(gate, said, "Run its tests again and promote it again.")
    return passes(gate, said)


def nothing(gate: str) -> Verdict:
    """The verdict where there is no test result."""
    return stops(gate, "there is no test result of this image", _TEST_IT, absent=True)


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


def _how(result: TestResult) -> str:
    """A note where no result file counted single tests, so that each command counts as one."""
    if result.judged_by == SMOKE_ONLY:
        return f" ({SMOKE_ONLY})"
    return f" ({result.judged_by} of each command)" if result.judged_by else ""


def _where(result: TestResult) -> str:
    run = f" in run {result.run}" if result.run else ""
    return f"{run}, ended {result.finished}" if result.finished else run


def span(time: timedelta) -> str:
    """Format a duration in its largest unit."""
    seconds = int(time.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} s"
