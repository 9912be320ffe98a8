"""The content of a YAML file, and the position of each value in it."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from relman.model.errors import Problem

KeyPath = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Tagged:
    """A value with an application's tag, such as Ansible's `!vault`; `text` is its text, if it is a scalar."""

    tag: str
    text: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"a value tagged {self.tag}"


def tagged(tree: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Tagged]]:
    """The values below a tree that have tags, with their paths."""
    if isinstance(tree, Tagged):
        yield path, tree
    for key, each in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from tagged(each, (*path, key))


@dataclass(frozen=True)
class Source:
    """A text file's name, the offsets of its lines, and the offset of its last character."""

    file: str
    lines: tuple[int, ...]
    end: int

    @classmethod
    def of(cls, file: str, text: str) -> Self:
        """The source with this text."""
        text = text.rstrip("\n")
        return cls(file, (0, *(m.end() for m in re.finditer("\n", text))), max(len(text) - 1, 0))

    def problem(self, offset: int, path: KeyPath, message: str) -> Problem:
        """A problem at this offset."""
        offset = min(offset, self.end)
        line = bisect_right(self.lines, offset)
        return Problem(self.file, line, offset - self.lines[line - 1] + 1, dotted(path), message)


@dataclass(frozen=True)
class Document:
    """One file: its `tree` of dict, list, str, int, float, bool, None and Tagged, and the faults found so far, each
    with its path.

    `places` maps the path of every key to the offsets of the key and its value. `sealed` is whether the file is
    encrypted, so that all its values are secrets.
    """

    source: Source
    tree: Any
    faults: tuple[tuple[KeyPath, Problem], ...]
    places: Mapping[KeyPath, tuple[int, int]]
    sealed: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All faults as problems."""
        return tuple(problem for _, problem in self.faults)

    def problem(self, path: KeyPath, message: str, *, on_key: bool = False) -> Problem:
        """A problem of the value at `path`, or of its key; placed at the nearest parent if the file has no such key."""
        known = next(p for p in (path[:n] for n in range(len(path), -1, -1)) if p in self.places)
        key, value = self.places[known]
        return self.source.problem(key if on_key or known != path else value, path, message)


def dotted(path: KeyPath) -> str:
    """The path in the form of messages: `deploy.ports[0]`, `all.hosts."web1.example"`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if _PLAIN_KEY.fullmatch(step) else json.dumps(step)
            text += f".{name}" if text else name
    return text
