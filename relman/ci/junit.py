"""JUnit XML, as test runners write it: read from anybody's file without believing it. Pure.

There is no specification; this reads what pytest, Surefire, Gradle, Go, Jest, CTest, GoogleTest and others write. Test
cases are counted, not the sums that a file claims, except where they claim less than a pass: more failures than there
are, or fewer tests that ran.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from relman.model.cases import MOST_FAILED, Findings, TestCase, TestTotals, slowest

MAX_MESSAGE = 2000
MAX_NAME = 300
_MAX_DEPTH = 50
_ROOTS = ("testsuites", "testsuite")
_BAD = ("failure", "error")
_RETRIED = ("flakyFailure", "flakyError")
_ATTEMPTS = (*_RETRIED, "rerunFailure", "rerunError")
_ABSENT = ("skipped", "disabled", "ignored", "notrun")
# Of the attributes `status` and `result`, as letters alone: CTest and GoogleTest say it there, and have no element.
_NOT_RUN = {*_ABSENT, "skip", "ignore", "suppressed", "inconclusive", "pending", "todo", "notrunnable", "notexecuted"}
_FAILED = {"fail", "failed", "failure", "error"}
# Characters that XML 1.0 has no form for (section 2.2), raw or as references; runners copy them from tests' names.
_CONTROL = rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|[xX]0*(?:[0-8bcefBCEF]|1[0-9a-fA-F]));"
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00<", b"<\x00")


class BadResults(ValueError):
    """A result file that cannot be believed; the message says why, after the file's name."""


class OtherXml(BadResults):
    """An XML file that is no JUnit XML at all, but something else."""


def read_junit(content: IO[bytes]) -> Findings:
    """What one JUnit XML file says. Raises BadResults, OtherXml for a file that starts with another element.

    Document types and entities are refused, and with them everything that makes a small file large or reads others.
    Control characters that XML does not allow become `?`.
    """
    from defusedxml.common import DefusedXmlException

    reader = _Reader()
    try:
        for event, element in _events(content):
            reader.take(event, element)
    except DefusedXmlException:
        raise BadResults("declares a document type or entities, which no test runner does") from None
    except ParseError as error:
        raise BadResults(f"is no complete XML: {error}") from None
    except (LookupError, ValueError) as error:  # encodings that expat does not know
        raise error if isinstance(error, BadResults) else BadResults(f"cannot be read: {error}") from None
    return reader.findings()


def _events(content: IO[bytes]) -> Iterator[tuple[str, Any]]:
    from defusedxml.ElementTree import iterparse

    return iter(iterparse(_readable(content.read()), events=("start", "end"), forbid_dtd=True))


def _readable(content: bytes) -> IO[bytes]:
    return io.BytesIO(content if content.startswith(_WIDE) else re.sub(_CONTROL, b"?", content))


@dataclass
class _Suite:
    """What was counted before a suite began, and whether it has suites of its own."""

    tests: int
    failed: int
    skipped: int
    outer: bool = False


class _Reader:
    """Counts test cases as they come, and forgets them."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._suites: list[_Suite] = []
        self._tests = self._failed = self._skipped = self._attempts = 0
        self._claimed = [0, 0]  # failures by the root's sums, and by those of the suites right below it
        self._failures: list[TestCase] = []
        self._flaky: dict[str, None] = {}
        self._slow: tuple[TestCase, ...] = ()

    def take(self, event: str, element: Element) -> None:
        """The next start or end of an element."""
        if event == "start":
            self._open.append(element)
            if len(self._open) > _MAX_DEPTH:
                raise BadResults(f"is nested deeper than {_MAX_DEPTH} elements")
            if len(self._open) == 1 and element.tag not in _ROOTS:
                raise OtherXml(f"is no JUnit XML: it starts with <{_clean(element.tag, 40)}>")
            if element.tag in _ROOTS:
                self._begin()
            return
        self._open.pop()
        depth, inside = len(self._open), any(e.tag == "testcase" for e in self._open)
        if element.tag == "testcase" and not inside:
            self._case(element)
        if element.tag in _ROOTS:
            self._end(element, self._suites.pop())
            if depth < 2:
                self._claimed[depth] += _whole(element, "failures") + _whole(element, "errors")
        if self._open and not inside:
            self._open[-1].remove(element)

    def findings(self) -> Findings:
        """What the whole file came to."""
        # Surefire's sums count every attempt that failed, also of a test that passed in the end.
        failed = max(self._failed, *(claimed - self._attempts for claimed in self._claimed))
        totals = TestTotals(max(self._tests, failed), failed, self._skipped)
        return Findings(totals, tuple(self._failures), tuple(self._flaky), self._slow)

    def _begin(self) -> None:
        for outer in self._suites:
            outer.outer = True
        self._suites.append(_Suite(self._tests, self._failed, self._skipped))

    def _end(self, element: Element, before: _Suite) -> None:
        """A suite of test cases that claims that fewer of them ran is believed."""
        tests, absent = _whole(element, "tests"), max(_whole(element, name) for name in _ABSENT)
        if before.outer or not (tests and absent):
            return
        claimed = max(tests - absent, self._failed - before.failed)
        ran = self._tests - before.tests - (self._skipped - before.skipped)
        self._skipped += max(ran - claimed, 0)

    def _case(self, element: Element) -> None:
        self._tests += 1
        self._attempts += sum(child.tag in _ATTEMPTS for child in element) + _may_fail(element)
        name = _clean(".".join(filter(None, (element.get("classname"), element.get("name")))) or "?", MAX_NAME)
        bad = _bad(element)
        case = TestCase(name, _seconds(element.get("time", "")), "" if bad is None else _message(bad))
        self._slow = slowest((*self._slow, case if bad is None else TestCase(name, case.seconds)))
        if bad is not None:
            self._failed += 1
            self._failures += [case] if len(self._failures) < MOST_FAILED else []
        elif _not_run(element):
            self._skipped += 1
        elif any(child.tag in _RETRIED for child in element) and len(self._flaky) < MOST_FAILED:
            self._flaky[name] = None


def _bad(case: Element) -> Element | None:
    """What says that a test case failed; nothing of one that was expected to."""
    found = next((child for child in case if child.tag in _BAD), case if _says(case, _FAILED) else None)
    return None if _may_fail(case) else found


def _may_fail(case: Element) -> bool:
    """Whether it is marked both ways, as Catch2's [!mayfail] and node's todo are: its exit code decides."""
    tags = {child.tag for child in case}
    return "skipped" in tags and bool(tags & set(_BAD))


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
