"""JUnit XML, as test runners write it: read from anybody's file without believing it. Pure.

There is no specification; this reads what pytest, Surefire, Gradle, Go, Jest, CTest, GoogleTest and others write. Test
cases decide, not the sums that a file claims, except where these claim less than a pass that no case explains: more
failures than there are, or fewer tests that ran.
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
# Of the attributes `status` and `result`, as letters alone: CTest and GoogleTest say it there, and have no element.
_NOT_RUN = {*_ABSENT, "skip", "ignore", "suppressed", "inconclusive", "pending", "todo", "notrunnable", "notexecuted"}
_FAILED = {"fail", "failed", "failure", "error"}


class OtherXml(BadResults):
    """An XML file that is no JUnit XML at all, but something else."""


def read_junit(content: IO[bytes], *, green: bool = True) -> Findings:
    """What one JUnit XML file says of a command that ended with exit code 0, or did not (`green`). Raises BadResults,
    OtherXml for a file that starts with another element; see `junit_xml.elements` for what is refused.

    A failure that its runner excuses is none: one of a test that may fail, or that passed in a later attempt. Where
    the exit code is not 0 and there is no other failure, these are what failed.
    """
    reader = _Reader()
    for event, element in elements(content):
        reader.take(event, element)
    return reader.findings(green=green)


@dataclass
class _Suite:
    """What was counted before a suite began, whether it has suites of its own or tests that ran again, the failures
    that it claims and no case in it explains, and those of its cases that failed so far, by what names them."""

    tests: int
    failed: int
    skipped: int
    explained: int
    outer: bool = False
    again: bool = False
    unexplained: int = 0
    open: dict[tuple[str | None, ...], list[TestCase]] = field(default_factory=dict)


class _Reader:
    """Counts test cases as they come, and forgets them."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._suites: list[_Suite] = [_Suite(0, 0, 0, 0)]
        self._tests = self._failed = self._skipped = 0
        self._explained = 0  # how often a case, or an attempt at one, is said to have failed
        self._excused = 0  # failures that are none for as long as the exit code is 0
        self._failures: list[TestCase] = []
        self._excuses: list[TestCase] = []
        self._flaky: dict[str, None] = {}
        self._slow: tuple[TestCase, ...] = ()

    def take(self, event: str, element: Element) -> None:
        """The next start or end of an element."""
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
        """What the whole file came to."""
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
        """What a suite claims beyond its cases: more failures, or that fewer of them ran."""
        claimed = _whole(element, "failures") + _whole(element, "errors")
        # Sums count every failure in a case and every attempt at it, or each case once.
        self._suites[-1].unexplained += max(claimed - (self._explained - suite.explained), suite.unexplained)
        tests, absent = _whole(element, "tests"), max(_whole(element, name) for name in _ABSENT)
        if suite.again:  # which the sum may count each time
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
        """One test, several times in one suite, whose last attempt passed."""
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
    """What says that a test case failed."""
    return [child for child in case if child.tag in _BAD] or ([case] if _says(case, _FAILED) else [])


def _may_fail(case: Element) -> bool:
    """Whether one that failed is marked as skipped too, as Catch2's [!mayfail] and node's todo are."""
    return any(child.tag == "skipped" for child in case)


def _says(case: Element, words: set[str]) -> bool:
    return any(re.sub(r"[^a-z]", "", case.get(name, "").lower()) in words for name in ("status", "result"))


def _not_run(case: Element) -> bool:
    """Whether a test case that did not fail was not run, in any of the ways in which runners say so."""
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
    """Bounded, and without characters that a terminal would obey."""
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
