"""The journal of a service on a host: one line for each operation on it, with who, when and why.

A line records what one host observed; nothing is decided by it. Lines are written by the holder of the lock, and read
as untrusted input.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relman.model.errors import Symptoms
from relman.model.formats.mask import Mask
from relman.model.formats.untrusted_json import Misread, Newer, parse, read
from relman.model.plan import Kind, Result

VERSION = 1
LOG_LINES = 10
LONGEST = 200  # characters of a text that comes out of a container or an engine
LONGEST_REASON = 1000
LARGEST_LINE = 1 << 16  # bytes
_MOST_HOSTS = 100
_SHORTEST_SECRET = 4  # characters: shorter values, such as a port or a switch, are in every other line
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

DONE: Mapping[Kind, str] = {
    Kind.DEPLOY: "deployed",
    Kind.ROLLBACK: "rolled back",
    Kind.RECOVER: "recovered",
    Kind.REMOVE: "removed",
    Kind.RESTART: "restarted",
    Kind.EXEC: "ran a command in",
}


@dataclass(frozen=True)
class Served:
    """The release that a host serves: the deployment that started it, by whom and when ("" if the time is unknown)."""

    id: str
    release: str
    manifest: str
    commit: str
    by: str
    at: str


@dataclass(frozen=True)
class Resolved:
    """The interrupted deployment that a recovery resolved: its id, its owner, and the lock's message."""

    id: str
    by: str
    message: str


@dataclass(frozen=True)
class Failed:
    """What went wrong on a host, in one sentence, and the symptoms of the container that failed."""

    what: str
    symptoms: Symptoms | None = None


@dataclass(frozen=True)
class JournalLine:
    """One operation on a service on one host.

    `id` is the deployment's. `by` is the name that the caller gave; `at` and `ended` are when it began and ended, RFC
    3339 in UTC by the caller's clock. `result` and `detail` are this host's, `came_to` and `cause` those of all hosts.
    `serves` is what the host serves afterwards (None: nothing; valid only if `sure`). `unknown` are the hosts that did
    not answer, `left_out` those that the caller excluded. `users` is what users saw meanwhile, in words.
    """

    id: str
    kind: Kind
    by: str
    at: str
    ended: str
    result: Result
    release: str = ""
    manifest: str = ""
    commit: str = ""
    reason: str = ""
    detail: str = ""
    came_to: str = ""
    cause: str = ""
    serves: Served | None = None
    failed: Failed | None = None
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    resolved: Resolved | None = None
    users: str = ""

    @property
    def sure(self) -> bool:
        """Whether the line's `serves` is known to be true."""
        return self.result not in (Result.FAILED, Result.INTERRUPTED, Result.UNKNOWN)

    def encode(self) -> bytes:
        """The line for the file, with a leading line feed in case the previous one was truncated; read back by
        `lines_in`."""
        told = {"version": VERSION, **{k: v for k, v in dataclasses.asdict(self).items() if v not in ("", None, ())}}
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return f"\n{text}\n".encode(errors="replace")


@dataclass(frozen=True)
class JournalLines:
    """The content of a journal, oldest first: the last line of each id, and why other lines were skipped."""

    lines: tuple[JournalLine, ...] = ()
    passed_over: tuple[str, ...] = ()


def lines_in(data: bytes, *, whole: bool = True) -> JournalLines:
    """Parse a journal. Pure.

    Lines of another version or form are skipped. Unless `whole`, the first line may be truncated, and is ignored.
    """
    found: dict[str, JournalLine] = {}
    passed_over: list[str] = []
    for number, text in enumerate(data.split(b"\n")):
        if not text.strip() or (number == 0 and not whole):
            continue
        try:
            line = _read(text)
        except Misread as error:
            passed_over.append(f"{error}")
        else:
            found.pop(line.id, None)
            found[line.id] = line
    return JournalLines(tuple(found.values()), tuple(passed_over))


def _read(text: bytes) -> JournalLine:
    """Parse one line. Raises Misread."""
    if len(text) > LARGEST_LINE:
        raise Misread("", f"a line is longer than {LARGEST_LINE} bytes")
    data: Any = parse(text)
    if not isinstance(data, dict):
        raise Misread("", "expected an object")
    version = data.pop("version", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Misread("version", "expected a whole number, 1 or more")
    if version > VERSION:
        raise Newer("version", f"{version} was written by a newer relman")
    line = read(JournalLine, data)
    for key in ("at", "ended"):
        _require_time(key, getattr(line, key))
    if line.serves and line.serves.at:
        _require_time("serves.at", line.serves.at)
    for longest in _texts(data):
        if len(longest) > LONGEST_REASON:
            raise Misread("", f"a text is longer than {LONGEST_REASON} characters")
    return line


def _require_time(key: str, text: str) -> None:
    if not is_time(text):
        raise Misread(key, "expected a time such as 2026-01-31T12:00:00Z")


def is_time(text: str) -> bool:
    """Whether the text is a time in the form of a line: RFC 3339 in UTC, to the second."""
    try:
        return bool(_TIME.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def secrets_of(values: Iterable[str]) -> Mask:
    """A mask for these values, except the shortest ones, which would mask parts of ordinary words."""
    return Mask(v for v in values if len(v.strip()) >= _SHORTEST_SECRET)


def short(text: str, mask: Mask, most: int = LONGEST) -> str:
    """A foreign text, masked and cut for a line."""
    hidden = mask(text)
    return hidden if len(hidden) <= most else f"{hidden[: most - 1]}…"


def bounded(failed: Failed, mask: Mask) -> Failed:
    """A failure, masked and cut for a line."""
    seen = failed.symptoms
    if seen:
        log = tuple(short(line, mask) for line in mask("\n".join(seen.log)).split("\n")[-LOG_LINES:] if line)
        seen = dataclasses.replace(seen, probe=short(seen.probe, mask), log=log)
    return Failed(short(failed.what, mask), seen)


def some_hosts(names: Iterable[str]) -> tuple[str, ...]:
    """Host names, limited to the number that a line may contain."""
    return tuple(names)[:_MOST_HOSTS]
