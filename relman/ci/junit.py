"""JUnit XML, as test runners write it: read from anybody's file without believing it. Pure.

There is no specification; this reads what pytest, Surefire, Gradle, Go, Jest and others write. Test cases are counted,
not the sums that a file claims, except that a claim of more failures than there are is believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from relman.model.cases import MOST_FAILED, Findings, TestCase, TestTotals, slowest

MAX_MESSAGE = 2000
MAX_NAME = 300
_MAX_DEPTH = 50
_BAD = ("failure", "error")
_RETRIED = ("flakyFailure", "flakyError")


class BadResults(ValueError):
    """A result file that cannot be believed; the message says why, after the file's name."""


def read_junit(content: IO[bytes]) -> Findings:
    """What one JUnit XML file says. Raises BadResults.

    Document types and entities are refused, and with them everything that makes a small file large or reads others.
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

    return iter(iterparse(content, events=("start", "end"), forbid_dtd=True))


class _Reader:
    """Counts test cases as they come, and forgets them."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._tests = self._failed = self._skipped = 0
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
            if len(self._open) == 1 and element.tag not in ("testsuites", "testsuite"):
                raise BadResults(f"is no JUnit XML: it starts with <{_clean(element.tag, 40)}>")
            return
        self._open.pop()
        depth, inside = len(self._open), any(e.tag == "testcase" for e in self._open)
        if element.tag == "testcase" and not inside:
            self._case(element)
        if element.tag in ("testsuites", "testsuite") and depth < 2:
            self._claimed[depth] += _whole(element, "failures") + _whole(element, "errors")
        if self._open and not inside:
            self._open[-1].remove(element)

    def findings(self) -> Findings:
        """What the whole file came to."""
        failed = max(self._failed, *self._claimed)
        totals = TestTotals(max(self._tests, failed), failed, self._skipped)
        return Findings(totals, tuple(self._failures), tuple(self._flaky), self._slow)

    def _case(self, element: Element) -> None:
        self._tests += 1
        name = _clean(".".join(filter(None, (element.get("classname"), element.get("name")))) or "?", MAX_NAME)
        bad = next((child for child in element if child.tag in _BAD), None)
        case = TestCase(name, _seconds(element.get("time", "")), "" if bad is None else _message(bad))
        self._slow = slowest((*self._slow, case if bad is None else TestCase(name, case.seconds)))
        if bad is not None:
            self._failed += 1
            self._failures += [case] if len(self._failures) < MOST_FAILED else []
        elif any(child.tag == "skipped" for child in element):
            self._skipped += 1
        elif any(child.tag in _RETRIED for child in element) and len(self._flaky) < MOST_FAILED:
            self._flaky[name] = None


def _message(element: Element) -> str:
    said, text = element.get("message") or "", (element.text or "").strip()
    both = text if said and said in text else "\n".join(filter(None, (said, text)))
    return _clean(both or element.get("type") or f"{element.tag} without a message", MAX_MESSAGE)


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
