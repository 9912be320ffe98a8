"""Read ssh_config files into lines, following Include (ssh_config(5), https://man.openbsd.org/ssh_config)."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path

from relman.model.errors import ConfigError, Problem, UsageError

_LINE = re.compile(r"(?P<keyword>[A-Za-z0-9]+)(?:\s*=\s*|\s+)(?P<rest>.+)")
_PART = re.compile(r"""\\["'\\ ]|"((?:\\["'\\]|[^"])*+)"|'((?:\\["'\\]|[^'])*+)'|[^ \t"']""")
_WORD = re.compile(rf"[ \t]*(?!#)((?:{_PART.pattern})+)")
_MAX_INCLUDES = 16


@dataclass(frozen=True)
class Line:
    """One line: its keyword in lower case, its arguments parsed, and as written. `included` are the lines of an
    Include."""

    keyword: str
    arguments: tuple[str, ...]
    written: str
    file: str
    number: int
    included: tuple[Line, ...] = ()

    def problem(self, key: str, message: str) -> Problem:
        """A problem of this line."""
        return Problem(self.file, self.number, 1, key, message)


def read_lines(file: Path, home: Path, depth: int = 0) -> tuple[Line, ...]:
    """Read all lines of the file. Raises UsageError if it cannot be read, ConfigError for malformed lines."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="Check the path and its permissions") from error
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(file), 1, 1, "", "this is not UTF-8 text")]) from None
    stripped = ((n, line.strip()) for n, line in enumerate(text.split("\n"), 1))
    return tuple(_line(line, str(file), n, home, depth) for n, line in stripped if line and not line.startswith("#"))


def split(text: str) -> list[str]:
    """The words of a line up to a comment, as OpenSSH splits them (argv_split in misc.c).

    " and ' quote; a backslash escapes these, itself and, outside quotes, a space, and is literal otherwise. Raises
    ValueError for an unclosed quote.
    """
    words: list[str] = []
    at = 0
    while word := _WORD.match(text, at):
        words.append(_PART.sub(_unquoted, word[1]))
        at = word.end()
    rest = text[at:].strip(" \t")
    if rest and not rest.startswith("#"):
        raise ValueError(text)
    return words


def _unquoted(part: re.Match[str]) -> str:
    quoted = part[1] if part[1] is not None else part[2]
    return part[0][-1] if quoted is None else re.sub(r"""\\(["'\\])""", r"\1", quoted)


def _line(text: str, file: str, number: int, home: Path, depth: int) -> Line:
    found = _LINE.fullmatch(text)
    try:
        arguments = tuple(split(found["rest"])) if found else ()
    except ValueError:
        arguments = ()
    if not found or not arguments:
        raise ConfigError([Problem(file, number, 1, "", "expected a keyword and its value, quotes closed")])
    line = Line(found["keyword"].lower(), arguments, found["rest"], file, number)
    if line.keyword != "include":
        return line
    if depth == _MAX_INCLUDES:
        raise ConfigError([line.problem("Include", f"nested deeper than {_MAX_INCLUDES} files")])
    base = Path("/etc/ssh") if file.startswith("/etc/ssh/") else home / ".ssh"
    patterns = [a.replace("~", str(home), 1) if a.startswith("~/") else str(base / a) for a in arguments]
    files = [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]  # noqa: PTH207  # absolute
    included = tuple(inner for name in files for inner in read_lines(name, home, depth + 1))
    return replace(line, included=included)
