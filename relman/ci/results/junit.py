"""Read JUnit XML from untrusted files. Pure.

There is no official specification; https://github.com/testmoapp/junitxml documents the common form. This reads what
pytest, Surefire, Gradle, Go, Jest, CTest, GoogleTest and others write. Test cases decide, and not the totals that a
file claims, except where these claim more failures, or fewer executed tests, than the cases show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO
from xml.etree.ElementTree import Element

from relman.ci.results.junit_xml import BadResults, elements
from relman.model.test_cases import MOST_FAILED, Findings, TestCase, TestTotals, slowest

MAX_MESSAGE = 2000
MAX_NAME = 300
_MAX_DEPTH = 50
_SUITES = ("testsuites", "testsuite")
_BAD = ("failure", "error")
_RETRIED = ("flakyFailure", "flakyError")
_ATTEMPTS = (*_RETRIED, "rerunFailure", "rerunError")
_ABSENT = ("skipped", "disabled", "ignored", "notrun")
# Values of the attributes `status` and `result`, letters only: CTest and GoogleTest use them instead of elements.
_NOT_RUN = {*_ABSENT, "skip", "ignore", "suppressed", "inconclusive", "pending", "todo", "notrunnable", "notexecuted"}
_FAILED = {"fail", "failed", "failure", "error"}


class OtherXml(BadResults):
    """The file is XML of another kind than JUnit's."""


def read_junit(content: IO[bytes], *, green: bool = True) -> Findings:
    """The findings in one JUnit XML file of a command, which ended with exit code 0 (`green`) or not.

    A failure that the runner tolerates does not count: an expected one, or one before a passing retry; if the exit code
    is not 0 and there is no other failure, it does. Raises BadResults, OtherXml for a file with another root element;
    see `junit_xml.elements`.
    """
    reader = _Reader()
    for event, element in elements(content):
        reader.take(event, element)
    return reader.findings(green=green)


@dataclass
class _Suite:
    """The totals when a suite began; whether it has child suites or retried tests; the claimed failures that no case
    explains; and its failed cases, by identity."""

    tests: int
    failed: int
    skipped: int
    explained: int
    outer: bool = False
    again: bool = False
    unexplained: int = 0
    open: dict[tuple[str | None, ...], list[TestCase]] = field(default_factory=dict)


class _Reader:
    """Counts test cases as a stream, without keeping them."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._suites: list[_Suite] = [_Suite(0, 0, 0, 0)]
        self._tests = self._failed = self._skipped = 0
        self._explained = 0  # failure elements, one for each failed case or attempt
        self._excused = 0  # failures that do not count if the exit code is 0
        self._failures: list[TestCase] = []
        self._excuses: list[TestCase] = []
        self._flaky: dict[str, None] = {}
        self._slow: tuple[TestCase, ...] = ()

    def take(self, event: str, element: Element) -> None:
        """Process the start or end of an element."""
        if event == "start":
            self._start(element)
            return
        self._open.pop()
        inside = any(e.tag == "testcase" for e in self._open)
        if element.tag == "testcase" and not inside:
            self._case(element)
        if element.tag in _SUITES:
            self._end(element, self._suites.pop())
        if self._open and not inside:
            self._open[-1].remove(element)

    def findings(self, *, green: bool) -> Findings:
        """The findings of the whole file."""
        failed, failures = self._failed + self._suites[0].unexplained, self._failures
        if not (green or failed):
            failed, failures = self._excused, self._excuses
        totals = TestTotals(max(self._tests, failed), failed, self._skipped)
        return Findings(totals, tuple(failures[:MOST_FAILED]), tuple(self._flaky), self._slow)

    def _start(self, element: Element) -> None:
        self._open.append(element)
        if len(self._open) > _MAX_DEPTH:
            raise BadResults(f"is nested deeper than {_MAX_DEPTH} elements")
        if len(self._open) == 1 and element.tag not in (*_SUITES, "testcase"):
            tag = _clean(element.tag, 40)
            raise OtherXml(f"is not JUnit XML: it starts with <{tag}>. Have the runner write JUnit XML, or convert it")
        if element.tag in _SUITES:
            for outer in self._suites:
                outer.outer = True
            self._suites.append(_Suite(self._tests, self._failed, self._skipped, self._explained))

    def _end(self, element: Element, suite: _Suite) -> None:
        """Account for what a suite claims beyond its cases: more failures, or fewer executed tests."""
        claimed = _whole(element, "failures") + _whole(element, "errors")
        # Some runners count every failure of a case and every attempt, others each case once.
        self._suites[-1].unexplained += max(claimed - (self._explained - suite.explained), suite.unexplained)
        tests, absent = _whole(element, "tests"), max(_whole(element, name) for name in _ABSENT)
        if suite.again:  # the total may count retried tests several times
            tests = min(tests, self._tests - suite.tests)
        if suite.outer or not (tests and absent):
            return
        most = max(tests - absent, self._failed - suite.failed)
        ran = self._tests - suite.tests - (self._skipped - suite.skipped)
        self._skipped += max(ran - most, 0)

    def _case(self, element: Element) -> None:
        bad = _bad(element)
        self._explained += len(bad) + sum(child.tag in _ATTEMPTS for child in element)
        name = _clean(".".join(filter(None, (element.get("classname"), element.get("name")))) or "?", MAX_NAME)
        plain = TestCase(name, _seconds(element.get("time", "")))
        case = TestCase(name, plain.seconds, _clean("\n".join(map(_message, bad[:10])), MAX_MESSAGE))
        known = tuple(element.get(key) for key in ("classname", "name", "file"))
        self._tests += 1
        self._slow = slowest((*self._slow, plain))
        if bad and _may_fail(element):
            self._excuse([case])
            self._skipped += 1
        elif bad:
            self._failed += 1
            self._failures += [case] if len(self._failures) < MOST_FAILED else []
            if element.get("name"):
                self._suites[-1].open.setdefault(known, []).append(case)
        elif _not_run(element):
            self._skipped += 1
        elif earlier := self._suites[-1].open.pop(known, None):
            self._passed_at_last(earlier)
        elif any(child.tag in _RETRIED for child in element):
            self._is_flaky(name)

    def _passed_at_last(self, earlier: list[TestCase]) -> None:
        """A test that occurs several times in one suite and passed at last."""
        self._suites[-1].again = True
        self._tests -= len(earlier)
        self._failed -= len(earlier)
        self._failures = [case for case in self._failures if not any(case is each for each in earlier)]
        self._excuse(earlier)
        self._is_flaky(earlier[0].name)

    def _excuse(self, cases: list[TestCase]) -> None:
        self._excused += len(cases)
        self._excuses += cases[: MOST_FAILED - len(self._excuses)]

    def _is_flaky(self, name: str) -> None:
        if len(self._flaky) < MOST_FAILED:
            self._flaky[name] = None


def _bad(case: Element) -> list[Element]:
    """The elements that mark a test case as failed."""
    return [child for child in case if child.tag in _BAD] or ([case] if _says(case, _FAILED) else [])


def _may_fail(case: Element) -> bool:
    """Whether a failed case is also marked as skipped, like Catch2's [!mayfail] and node's todo."""
    return any(child.tag == "skipped" for child in case)


def _says(case: Element, words: set[str]) -> bool:
    return any(re.sub(r"[^a-z]", "", case.get(name, "").lower()) in words for name in ("status", "result"))


def _not_run(case: Element) -> bool:
    """Whether a test case that did not fail was not run, in any runner's notation."""
    absent = any(child.tag.lower() in _ABSENT for child in case)
    marked = any(case.get(name, "").lower() == "true" for name in _ABSENT)
    return absent or marked or _says(case, _NOT_RUN) or case.get("executed", "").lower() == "false"


def _message(element: Element) -> str:
    said, text = element.get("message") or "", (element.text or "").strip()
    both = text if said and said in text else "\n".join(filter(None, (said, text)))
    return _clean(
        both or element.get("type") or f"{element.get('status') or element.tag} without a message", MAX_MESSAGE
    )


def _clean(text: str, most: int) -> str:
    """The text, cut, with non-printable characters replaced."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _seconds(text: str) -> float:
    try:
        found = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return round(found, 3) if 0 <= found < 1e9 else 0.0


def _whole(element: Element, name: str) -> int:
    text = element.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0
