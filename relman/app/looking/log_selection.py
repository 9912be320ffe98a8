"""Which lines of a log are asked for: a span of time, and a pattern. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from relman.app.looking.history_at import moment_of
from relman.model.errors import UsageError
from relman.model.formats.clock import from_rfc3339

_AGO = re.compile(r"(?=\d)(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?")
_HINT = "a time, such as 2026-01-31T12:00:00Z, or how long ago, such as 90s, 15m, 2h30m or 1d"


@dataclass(frozen=True)
class Span:
    """The lines from `since` to `until`, in seconds since the epoch, whose text `pattern` finds something in."""

    since: float = -math.inf
    until: float = math.inf
    pattern: re.Pattern[str] | None = None

    def takes(self, line: str) -> bool:
        """Whether a line, which begins with the engine's timestamp, is one of them."""
        at, _, text = line.partition(" ")
        if self.pattern and not self.pattern.search(text):
            return False
        if self.since == -math.inf and self.until == math.inf:
            return True
        try:
            return self.since <= from_rfc3339(at).timestamp() <= self.until
        except ValueError:
            return False


@dataclass(frozen=True)
class LogSelection:
    """What a person asked for. What is so long ago counts from each host's own clock, by which its log is kept."""

    since: str | None = None
    until: str | None = None
    grep: str | None = None

    def checked(self) -> LogSelection:
        """The same. Raises UsageError for what is no time or no regular expression, and for an empty span."""
        span = self.on(lambda: 0.0)
        comparable = [bool(text and _AGO.fullmatch(text)) for text in (self.since, self.until)]
        if len(set(comparable)) == 1 and span.since > span.until:
            raise UsageError(f"--until {self.until} is before --since {self.since}")
        return self

    def on(self, now: Callable[[], float]) -> Span:
        """The span on a host whose clock is `now`. Raises UsageError."""
        since = -math.inf if self.since is None else _moment(self.since, now)
        until = math.inf if self.until is None else _moment(self.until, now)
        return Span(since, until, _pattern(self.grep))

    def __bool__(self) -> bool:
        return any(each is not None for each in (self.since, self.until, self.grep))


def _moment(text: str, now: Callable[[], float]) -> float:
    if ago := _AGO.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in ago.groups())
        return now() - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    try:
        return moment_of(text).timestamp()
    except UsageError as error:
        raise UsageError(error.what, hint=_HINT) from error


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        hint = "a regular expression, as Python has them; characters such as ( and [ are written \\( and \\["
        raise UsageError(f"--grep {text!r}: {error}", hint=hint) from error
