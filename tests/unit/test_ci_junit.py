"""JUnit XML: what runners write is read, and what nobody should believe is refused."""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.results.junit import MAX_MESSAGE, read_junit
from relman.ci.results.junit_xml import BadResults
from relman.ci.testing.test_commands import contradiction
from relman.model.test_cases import MOST_FAILED, Findings, TestCase, TestTotals


def read(text: str | bytes) -> Findings:
    """What this file says."""
    return read_junit(io.BytesIO(text.encode() if isinstance(text, str) else text))


def written_by(runner: str) -> Findings:
    """What a real runner's file says."""
    return read((Path(__file__).parent / f"data/junit/{runner}.xml").read_bytes())


def test_a_file_of_pytest() -> None:
    """Totals, the failure with its message, the skipped one, and the slowest first."""
    found = read("""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="2.5">
 <properties><property name="a" value="b"/></properties>
 <testcase classname="tests.test_a" name="test_one" time="0.001"/>
 <testcase classname="tests.test_a" name="test_two" time="1,002.5">
  <failure message="assert 1 == 2">def test_two():
&gt;   assert 1 == 2</failure></testcase>
 <testcase classname="" name="collect" time="x"><error message="setup">trace</error></testcase>
 <testcase classname="tests.test_a" name="test_four" time="0.5"><skipped message="no">why</skipped>
  <system-out>noise</system-out></testcase>
</testsuite></testsuites>""")
    assert found.totals == TestTotals(tests=4, failed=2, skipped=1)
    assert found.totals.ran == 3
    assert [c.name for c in found.slowest] == [
        "tests.test_a.test_two",
        "tests.test_a.test_four",
        "tests.test_a.test_one",
        "collect",
    ]
    two, collect = found.failed
    assert (two.seconds, two.message) == (1002.5, "def test_two():\n>   assert 1 == 2")
    assert collect == TestCase("collect", 0.0, "setup\ntrace")


def test_what_other_runners_write() -> None:
    """A suite as the root, suites in suites, and Surefire's retries, which are flaky when they end well."""
    found = read(
        "<testsuite><testsuite><testcase name='a'><flakyFailure/></testcase>"
        "<testcase name='b'><rerunFailure/><failure type='E'/></testcase></testsuite><testcase name='c'/></testsuite>"
    )
    assert found.totals == TestTotals(3, 1)
    assert found.flaky == ("a",)
    assert found.failed == (TestCase("b", 0.0, "E"),)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("<testsuite failures='2' errors='1'><testcase/></testsuite>", 3),
        ("<testsuites><testsuite errors='1'/><testsuite failures='1'/></testsuites>", 2),
        (
            "<testsuites failures='1'><testsuite failures='1'><testcase><failure/></testcase></testsuite></testsuites>",
            1,
        ),
        ("<testsuite failures='0'><testcase><failure/></testcase></testsuite>", 1),
        ("<testsuite failures='-1' errors='x'/>", 0),
    ],
)
def test_a_claimed_failure_counts(text: str, failed: int) -> None:
    """A suite that says it failed is believed, also without the test case; that it passed is not."""
    assert read(text).totals.failed == failed


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not complete XML"),
        ("not xml", "not complete XML"),
        ("<testsuite><testcase>", "not complete XML"),
        ("<html/>", "not JUnit XML: it starts with <html>"),
        (BOMB + "]><testsuite>&j;</testsuite>", "declares entities"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite>&e;</testsuite>', "declares entities"),
        ('<!DOCTYPE x [<!ENTITY % e "a"> %e;]><testsuite/>', "declares entities"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><testsuite>&e;</testsuite>', "undefined entity"),
        ('<!DOCTYPE x [<!ATTLIST testcase a CDATA "many">]><testsuite/>', "declares values of attributes"),
        ("<testsuite>" * 60 + "</testsuite>" * 60, "nested deeper"),
        ("<testsuite>" + "<a>" * 200_000, "nested deeper"),
        (b"\xff\xfe\x00<", "not complete XML"),
        ("<?xml version='1.0' encoding='utf-7'?><testsuite/>", "cannot be read"),
        ("<?xml version='1.0' encoding='nope'?><testsuite/>", "cannot be read"),
    ],
)
def test_what_nobody_should_believe(content: str | bytes, why: str) -> None:
    """Broken, foreign and hostile files are refused in words, at once and without reading another file."""
    with pytest.raises(BadResults, match=why):
        read(content)


def test_nothing_ran_as_ctest_says_it() -> None:
    """A file of CTest's whose only test is disabled has no test that ran."""
    totals = written_by("ctest-disabled").totals
    assert (totals.tests, totals.ran, totals.failed) == (1, 0, 0)


NOT_RUN = [
    "<testcase status='disabled'/>",
    "<testcase status='notrun' result='suppressed'/>",
    "<testcase status='run' result='skipped'/>",
    "<testcase status='Not Run'/>",
    "<testcase result='Inconclusive' executed='True'/>",
    "<testcase executed='False'/>",
    "<testcase skipped='true'/>",
    "<testcase><skipped/></testcase>",
    "<testcase><ignored/></testcase>",
    "<testcase><disabled/></testcase>",
]


@pytest.mark.parametrize("case", NOT_RUN)
def test_a_test_that_was_not_run(case: str) -> None:
    """However a runner says that a test was not run, it does not count as one that ran, beside one that did."""
    assert read(f"<testsuite>{case}</testsuite>").totals == TestTotals(1, 0, 1)
    assert read(f"<testsuite>{case}<testcase status='run' result='completed'/></testsuite>").totals.ran == 1


@pytest.mark.parametrize(
    ("text", "ran"),
    [
        ("<testsuite tests='2' disabled='2'><testcase/><testcase/></testsuite>", 0),
        ("<testsuites tests='3' skipped='1'><testsuite tests='1' skipped='1'><testcase/></testsuite></testsuites>", 0),
        ("<testsuite tests='3' skipped='2'><testcase/></testsuite>", 1),
        ("<testsuite tests='2' skipped='1'><testcase><skipped/></testcase><testcase/></testsuite>", 1),
        ("<testsuite tests='2' ignored='2'><testcase><failure/></testcase><testcase/></testsuite>", 1),
        ("<testsuite skipped='2'><testcase/></testsuite>", 1),
        ("<testsuite tests='0' skipped='0'><testcase/></testsuite>", 1),
    ],
)
def test_a_claim_that_nothing_ran_counts(text: str, ran: int) -> None:
    """A suite that says that its tests were not run is believed, also where the test cases do not say so; sums that
    cannot be, and one that names test cases of no file, take nothing away."""
    assert read(text).totals.ran == ran


def test_a_status_of_failure_counts() -> None:
    """A test case that failed by its status alone failed."""
    found = read("<testsuite><testcase name='a' status='fail'/><testcase name='b' result='Failure'/></testsuite>")
    assert (found.totals.failed, found.failed[0].message) == (2, "fail without a message")


def test_retries_that_ended_well_as_surefire_counts_them() -> None:
    """Surefire's sum of failures has every attempt: a test that passed in the end is flaky, and nothing failed. A
    failure more than there are attempts is one."""
    found = written_by("surefire-flaky")
    assert (found.totals, found.flaky) == (TestTotals(2), ("x.FlakyTest.flaky",))
    assert read("<testsuite failures='3'><testcase><flakyFailure/><flakyFailure/></testcase></testsuite>").totals == (
        TestTotals(1, 1)
    )


def test_failures_that_were_expected() -> None:
    """What Catch2 and node write of a test that may fail, both marks, is no failure, and no test that counts."""
    case = "<testcase><skipped type='todo'/><failure/></testcase>"
    assert read(f"<testsuite failures='1'>{case}<testcase/></testsuite>").totals == TestTotals(2, 0, 1)


@pytest.mark.parametrize("control", ["\x1b", "\0", "&#27;", "&#x1B;", "&#0;"])
def test_control_characters(control: str) -> None:
    """A name or a message with a character that XML has no form for is read, and shown without it."""
    found = read(f"<testsuite><testcase name='a{control}b'><failure message='{control}'/></testcase></testsuite>")
    assert found.failed == (TestCase("a?b", 0.0, "?"),)
    assert written_by("jest-escape-in-name").totals == TestTotals(1)


def test_what_is_kept_is_bounded() -> None:
    """A million failures with endless messages become a bounded report with the true number; nothing in it moves a
    terminal's cursor."""
    case = f"<testcase name='{'n' * 5000}' classname='&#x9b;31m'><failure>{'m' * 5000}</failure></testcase>"
    found = read(f"<testsuite>{case * 1000}</testsuite>")
    assert found.totals == TestTotals(1000, 1000)
    assert len(found.failed) == MOST_FAILED
    assert len(found.slowest) == 10
    assert {len(c.message) for c in found.failed} == {MAX_MESSAGE}
    assert found.failed[0].name.startswith("?31m.nnn")
    assert found.failed[0].name.endswith("n…")


CASES = st.lists(
    st.tuples(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8),
        st.integers(0, 5000),
        st.sampled_from(["", "<failure/>", "<error/>", "<skipped/>"]),
    ),
    max_size=15,
)


@given(CASES)
def test_every_case_is_counted_once(cases: list[tuple[str, int, str]]) -> None:
    """However suites are cut, the totals are those of the cases, and the slowest are in order."""
    parts = [
        f"<testsuite><testcase name={quoteattr(n)} time='{t / 1000}'>{r}</testcase></testsuite>" for n, t, r in cases
    ]
    found = read(f"<testsuites>{''.join(parts)}</testsuites>")
    bad = sum(r in ("<failure/>", "<error/>") for _, _, r in cases)
    assert found.totals == TestTotals(len(cases), bad, sum(r == "<skipped/>" for _, _, r in cases))
    assert len(found.failed) == bad
    assert [c.seconds for c in found.slowest] == sorted((t / 1000 for _, t, _ in cases), reverse=True)[:10]


@pytest.mark.parametrize(
    ("code", "totals", "allowed", "said"),
    [
        (0, TestTotals(3, 0, 1), False, ""),
        (0, TestTotals(3, 1), False, "1 of 3 tests failed, although it ended with 0"),
        (1, TestTotals(3, 1), False, "1 of 3 tests failed"),
        (1, TestTotals(3), False, "its results show no failed test"),
        (None, TestTotals(3), False, "its results show no failed test"),
        (0, TestTotals(), False, "no test ran"),
        (0, TestTotals(2, 0, 2), False, "no test ran: all 2 were skipped"),
        (0, TestTotals(), True, ""),
        (5, TestTotals(), False, "no test ran"),
    ],
)
def test_exit_code_against_results(code: int | None, totals: TestTotals, allowed: bool, said: str) -> None:
    """Only 0 and a file without failures and with a test is a pass; every contradiction is said."""
    assert contradiction(code, Findings(totals), allow_no_tests=allowed) == said


def test_several_files_are_one() -> None:
    """Totals add up, lists are joined in order, and the slowest are those of all."""
    one = Findings(TestTotals(2, 1, 1), (TestCase("a"),), ("x",), (TestCase("a", 1.0),))
    two = Findings(TestTotals(1, 1), (TestCase("b"),), ("x", "y"), (TestCase("b", 2.0),))
    both = Findings.together([one, two])
    assert both == Findings(
        TestTotals(3, 2, 1), (TestCase("a"), TestCase("b")), ("x", "y"), (TestCase("b", 2.0), TestCase("a", 1.0))
    )
    assert Findings.together([]) == Findings()
