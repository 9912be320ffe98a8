"""Read `.dockerignore` as Docker's client does for the classic builder.

Documentation: https://docs.docker.com/build/concepts/context/#syntax; implementation: moby/patternmatcher.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ALWAYS = ".dockerignore"


@dataclass(frozen=True)
class Pattern:
    """One line: the paths that it matches, and whether it includes them again (`!`)."""

    text: str
    means: re.Pattern[str]
    back: bool = False

    def matches(self, path: str) -> bool:
        """Whether it matches this path, or a parent directory of it."""
        parts = path.split("/")
        return any(self.means.fullmatch("/".join(parts[:n])) for n in range(len(parts), 0, -1))


def read_patterns(content: bytes) -> list[Pattern]:
    """Parse a .dockerignore. Raises ValueError, naming the line, for an invalid pattern."""
    patterns = []
    for number, line in enumerate(content.decode("utf-8-sig", errors="surrogateescape").split("\n"), start=1):
        text = line.strip()
        if line.startswith("#") or not text:
            continue
        try:
            patterns.append(_pattern(text))
        except ValueError as error:
            raise ValueError(f".dockerignore:{number}: {error}: {text!r}") from None
    return patterns


def context_files(root: Path, patterns: list[Pattern], dockerfile: str) -> Iterator[str]:
    """The paths of a build context, relative to `root`; the Dockerfile and .dockerignore are always included."""
    kept = (re.sub(r"([*?\[\\])", r"\\\1", name) for name in (dockerfile, _ALWAYS))
    sent = [*patterns, *(_pattern(f"!{name}") for name in kept)]

    def below(directory: str) -> Iterator[str]:
        for entry in sorted(os.scandir(root / directory), key=lambda entry: entry.name):
            path = posixpath.join(directory, entry.name)
            ignored = _ignored(path, sent)
            if not ignored:
                yield path
            taken_back = any(p.back and f"{p.text}/".startswith(f"{path}/") for p in sent)
            if entry.is_dir(follow_symlinks=False) and (not ignored or taken_back):
                yield from below(path)

    return below("")


def _ignored(path: str, patterns: list[Pattern]) -> bool:
    """Whether the last pattern that matches the path excludes it."""
    return next((not p.back for p in reversed(patterns) if p.matches(path)), False)


def _pattern(text: str) -> Pattern:
    back = text.startswith("!")
    rest = text[back:].strip()
    if not rest:
        raise ValueError("nothing follows the !")
    clean = posixpath.normpath(rest)
    clean = clean.lstrip("/") if len(clean) > 1 else clean
    return Pattern(clean, re.compile(_expression(clean), re.DOTALL), back)


def _expression(text: str) -> str:
    """The regular expression of a pattern. Raises ValueError."""
    found, at = "", 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*" and text[at : at + 1] == "*":
            at += 2 if text[at + 1 : at + 2] == "/" else 1
            found += "(?:.*/)?" if at < len(text) else ".*"
        elif char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif char == "[":
            group, at = _group(text, at)
            found += group
        elif char == "\\":
            if at == len(text):
                raise ValueError("nothing follows the backslash")
            found += re.escape(text[at])
            at += 1
        else:
            found += re.escape(char)
    return found


def _group(text: str, at: int) -> tuple[str, int]:
    """The characters in brackets (Go's filepath.Match) after the opening one, and the position after them."""
    negated = text[at : at + 1] == "^"
    at += negated
    ranges = ""
    while at < len(text) and (text[at] != "]" or not ranges):
        low, at = _character(text, at)
        high = low
        if text[at : at + 1] == "-":
            high, at = _character(text, at + 1)
        if high < low:
            raise ValueError("a range in brackets ends before it begins")
        ranges += f"{re.escape(low)}-{re.escape(high)}"
    if text[at : at + 1] != "]":
        raise ValueError("a bracket is not closed")
    return f"[{'^' if negated else ''}{ranges}]", at + 1


def _character(text: str, at: int) -> tuple[str, int]:
    escaped = text[at : at + 1] == "\\"
    char = text[at + escaped : at + escaped + 1]
    if not char or (char in "-]" and not escaped):
        raise ValueError("a bracket is not closed, or has an end of a range without its other one")
    return char, at + escaped + 1
