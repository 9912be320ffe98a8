"""What real runners write, with the exit codes that they ended with: the same verdict as their own."""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.results.junit import read_junit
from relman.ci.results.junit_xml import BadResults
from relman.ci.testing.test_commands import contradiction
from relman.model.test_cases import Findings

DATA = Path(__file__).parent / "data/junit"

# The exit code of the runner, then tests, failed, skipped and flaky ones: at 0 with a test that ran and none that
# failed it is a pass.
WRITTEN = {
    "all-skipped": (0, 2, 0, 2, 0),
    "bats-failed": (1, 3, 1, 1, 0),
    "catch2-failed": (3, 7, 2, 2, 0),
    "catch2-mayfail": (0, 5, 0, 2, 0),
    "claims-without-cases": (0, 1, 1, 0, 0),
    "ctest-disabled": (0, 1, 0, 1, 0),
    "ctest-failed": (8, 6, 1, 3, 0),
    "ctest-repeat": (0, 5, 0, 2, 0),
    "cypress-retried": (0, 2, 0, 0, 0),
    "default-namespace": (0, 2, 0, 1, 0),
    "doctype-with-subset": (0, 1, 0, 0, 0),
    "failsafe-flaky-error": (0, 1, 0, 0, 1),
    "go-junit-report-panic": (1, 3, 1, 1, 0),
    "gotestsum-build-failed": (1, 1, 1, 0, 0),
    "gotestsum-rerun-passed": (0, 2, 0, 0, 1),
    "gradle-green": (0, 2, 0, 0, 0),
    "gradle-retry-failed": (1, 3, 3, 0, 0),
    "gradle-retry-passed": (0, 1, 0, 0, 1),
    "gtest-filtered": (0, 1, 0, 0, 0),
    "gtest-green": (0, 5, 0, 2, 0),
    "gtest-several-failures": (1, 7, 1, 3, 0),
    "jest-escape-in-name": (0, 1, 0, 0, 0),
    "jest-failed": (1, 6, 1, 2, 0),
    "jest-green-doctype": (0, 1, 0, 0, 0),
    "latin1": (1, 1, 1, 0, 0),
    "mocha-junit-green": (0, 2, 0, 1, 0),
    "mocha-junit-hook-failed": (1, 1, 1, 0, 0),
    "mocha-xunit-failed": (1, 5, 1, 1, 0),
    "namespaced": (1, 2, 1, 0, 0),
    "nextest-failed": (100, 2, 1, 0, 0),
    "nextest-flaky": (0, 2, 0, 0, 1),
    "no-tests": (0, 0, 0, 0, 0),
    "node-failed": (1, 9, 2, 2, 0),
    "node-todo": (0, 7, 0, 2, 0),
    "node-todo-suite": (1, 2, 2, 0, 0),
    "nunit-converted": (0, 3, 0, 2, 0),
    "nunit2-style-attributes": (0, 3, 0, 2, 0),
    "one-testcase": (0, 1, 0, 0, 0),
    "one-testcase-failed": (1, 1, 1, 0, 0),
    "phpunit-nested": (2, 3, 2, 0, 0),
    "playwright-green": (0, 3, 0, 1, 0),
    "playwright-one-browser-failed": (1, 3, 1, 1, 0),
    "pytest-failed": (1, 9, 4, 2, 0),
    "pytest-xfail": (0, 5, 0, 2, 0),
    "rspec-failed-same-name": (1, 1, 1, 0, 1),
    "rspec-pending": (0, 3, 0, 1, 0),
    "shift-jis": (0, 1, 0, 0, 0),
    "surefire-flaky": (0, 2, 0, 0, 1),
    "surefire-green": (0, 2, 0, 1, 0),
    "surefire-rerun-failed": (1, 2, 1, 0, 0),
    "surrogate-references": (0, 1, 0, 0, 0),
    "trx2junit-utf16": (1, 2, 1, 0, 0),
    "unittest-xml-reporting": (1, 4, 1, 1, 0),
    "utf16-be-no-declaration": (0, 1, 0, 0, 0),
    "vitest-several-failures": (1, 7, 2, 2, 0),
    "xunit-net-logger": (1, 3, 1, 1, 0),
}
NO_PASS = {"all-skipped", "claims-without-cases", "ctest-disabled", "no-tests"}  # although their exit code is 0
UNREADABLE = {
    "bare-ampersand": "'&' (U+0026) at line 3, column 37 cannot stand there. Have the runner escape it",
    "failsafe-summary": "starts with <failsafe-summary>. Have the runner write JUnit XML, or convert it",
    "truncated": "unclosed token at line 5, column 1. Did the runner end before",
    "two-in-one": "junk after document element at line 3, column 1. Did the runner end before it had written all, or",
    "windows-1252-mislabelled": "the byte 0xf6 at line 3, column 20 is not UTF-8. Have the runner write UTF-8, or name",
}


def read(name: str, code: int) -> Findings:
    """What the file of this runner says, that ended with this code."""
    return read_junit(io.BytesIO((DATA / f"{name}.xml").read_bytes()), green=code == 0)


def passes(content: str) -> bool:
    """Whether this file lets a command that ended with 0 pass."""
    return not contradiction(0, read_junit(io.BytesIO(content.encode())), allow_no_tests=False)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_verdict_is_the_runner_s(name: str) -> None:
    """Counts are those that the runner showed, and it passed where the runner says so and a test ran."""
    code, *counts = WRITTEN[name]
    found = read(name, code)
    assert [found.totals.tests, found.totals.failed, found.totals.skipped, len(found.flaky)] == counts
    said = contradiction(code, found, allow_no_tests=False)
    assert (said == "") is (code == 0 and name not in NO_PASS)
    assert "no failed test" not in said


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read(name: str) -> None:
    """It is said which character is wrong, where it is, and what to do."""
    with pytest.raises(BadResults) as refused:
        read(name, 0)
    assert UNREADABLE[name] in str(refused.value)


def test_every_file_is_judged() -> None:
    """No recorded file is without its verdict."""
    assert {file.stem for file in DATA.iterdir()} == {*WRITTEN, *UNREADABLE}


@pytest.mark.parametrize("name", ["catch2-mayfail", "gradle-retry-passed", "node-todo", "gotestsum-rerun-passed"])
def test_what_is_excused_failed_where_nothing_else_did(name: str) -> None:
    """With another exit code than 0, and no other failure, what may fail is what failed, with its message."""
    found = read(name, 1)
    assert found.totals.failed == len(found.failed) > 0
    assert all(case.message for case in found.failed)


def test_several_failures_are_all_shown() -> None:
    """A case that failed in several places counts once and shows each."""
    (case,) = read("gtest-several-failures", 1).failed
    assert case.message.count("g.cc:4") == 3


def test_text_is_read_in_its_encoding() -> None:
    """Names come out as they were written, whatever the file's encoding is."""
    assert [read(n, 0).slowest[0].name for n in ("latin1", "shift-jis", "utf16-be-no-declaration")] == [
        "Größe",
        "試験",
        "Größe?",
    ]
    assert read("trx2junit-utf16", 1).failed[0].name == "Shop.Tests.Cart.Größe"


OUTCOMES = st.sampled_from(
    [
        "",
        "<failure/>",
        "<error/>",
        "<skipped/>",
        "<skipped/><failure/>",
        "<flakyFailure/>",
        "<failure/><rerunFailure/>",
    ]
)
CASES = st.lists(st.tuples(st.sampled_from("abc"), OUTCOMES), max_size=6)
SUMS = st.fixed_dictionaries({k: st.integers(0, 4) for k in ("tests", "failures", "errors", "skipped")})


def suite(sums: dict[str, int], cases: list[tuple[str, str]]) -> str:
    """A file with these sums and cases."""
    shown = " ".join(f"{key}={quoteattr(str(value))}" for key, value in sums.items())
    inside = "".join(f"<testcase name='{name}'>{outcome}</testcase>" for name, outcome in cases)
    return f"<testsuite {shown}>{inside}</testsuite>"


@given(SUMS, CASES, st.integers(0, 6), st.sampled_from(["<failure/>", "<error/>", "<failure/><failure/>"]))
def test_a_failing_case_never_makes_a_verdict_better(
    sums: dict[str, int], cases: list[tuple[str, str]], at: int, outcome: str
) -> None:
    """One of a name of its own fails whatever else is there; one more attempt at another, which the sums count too,
    makes no pass of what was none."""
    more = [*cases[:at], ("new", outcome), *cases[at:]]
    assert not passes(suite(sums, more))
    counted = {**sums, "tests": sums["tests"] + 1, "failures": sums["failures"] + outcome.count("/>")}
    for name in "abc":
        again = suite(counted, [*cases[:at], (name, outcome), *cases[at:]])
        assert not passes(again) or passes(suite(sums, cases))


FRAGMENTS = st.sampled_from(
    [
        b"<testsuites>",
        b"<testsuite tests='2' failures='1'>",
        b"<testcase name='a'>",
        b"</testcase>",
        b"</testsuite>",
        b"</testsuites>",
        b"<failure>",
        b"</failure>",
        b"<skipped/>",
        b"<!DOCTYPE a [",
        b"<!ENTITY b 'c'>",
        b"]>",
        b"&b;",
        b"&#xD800;",
        b"&#99999999999;",
        b"<![CDATA[",
        b"]]>",
        b"<?xml version='1.0' encoding='utf-16'?>",
        b"<?xml version='1.0' encoding='idna'?>",
        b"<?xml version='1.1' encoding='big5'?>",
        b"\xff\xfe",
        b"\xfe\xff\0<",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"&",
        b"<",
        b"\0",
    ]
)


@given(st.lists(FRAGMENTS | st.binary(max_size=4), max_size=12).map(b"".join), st.booleans())
def test_no_bytes_break_the_reader(content: bytes, green: bool) -> None:
    """Whatever a file holds, it is read to counts that fit each other, or refused in words."""
    try:
        totals = read_junit(io.BytesIO(content), green=green).totals
    except BadResults:
        return
    assert 0 <= totals.failed <= totals.tests
    assert 0 <= totals.skipped <= totals.tests
