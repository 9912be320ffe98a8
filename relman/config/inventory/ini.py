"""Parse Ansible's INI inventories into the same tree as the YAML form, like ansible-core's plugin `ini`.

Documentation: https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ini_inventory.html. Sections are
[GROUP], [GROUP:children] and [GROUP:vars]; hosts before the first section are ungrouped. Values are Python literals if
possible, else text. One rule differs from Ansible's: a number that would be written differently (`1.10`) stays text, as
in relman's YAML.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from typing import Any

from relman.config.inventory.tree import UNGROUPED
from relman.config.yaml_document import Document, KeyPath, Source
from relman.model.errors import Problem

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_KINDS = ("hosts", "children", "vars")
_LONGEST = 1 << 16


def parse(data: bytes, file: str) -> Document:
    """Parse an INI inventory; faults are in the document."""
    text = data.decode("utf-8-sig", errors="surrogateescape")
    return _Reader(Source.of(file, text)).read(text)


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._tree: dict[str, Any] = {}
        self._places: dict[KeyPath, tuple[int, int]] = {(): (0, 0)}
        self._problems: list[Problem] = []
        self._group, self._kind = UNGROUPED, "hosts"
        # Groups that are mentioned, with the position and the error if no section declares them.
        self._wanted: dict[str, tuple[int, str]] = {}
        self._declared: set[str] = {UNGROUPED, "all"}

    def read(self, text: str) -> Document:
        """Parse the whole file."""
        offset = 0
        for line in text.split("\n"):
            self._line(line, offset)
            offset += len(line) + 1
        for group, (at, message) in self._wanted.items():
            if group not in self._declared:
                self._fault(at, message)
        return Document(self._source, self._tree, tuple(((), p) for p in self._problems), self._places)

    def _line(self, line: str, offset: int) -> None:
        text = line.strip()
        at = offset + len(line) - len(line.lstrip())
        if not text or text[0] in "#;":
            return
        if bad := next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None):
            self._fault(at + text.index(bad), "this is not UTF-8 text")
        elif section := _SECTION.fullmatch(text):
            self._section(section[1], section[2] or "hosts", at)
        elif text.startswith("[") and text.endswith("]"):
            self._fault(at, "expected [GROUP], [GROUP:children] or [GROUP:vars], without blanks")
        elif self._kind == "hosts":
            self._host(text, at)
        elif self._kind == "children":
            self._child(text, at)
        else:
            self._variable(text, at)

    def _section(self, group: str, kind: str, at: int) -> None:
        if kind not in _KINDS:
            self._fault(at, f"expected [{group}], [{group}:children] or [{group}:vars], found [{group}:{kind}]")
            return
        self._group, self._kind = group, kind
        if kind == "vars":
            self._wanted.setdefault(group, (at, f"[{group}:vars] names a group that has no section of its own"))
        else:
            self._declared.add(group)
        self._put((group,), {}, at)

    def _host(self, text: str, at: int) -> None:
        try:
            pattern, *given = shlex.split(text, comments=True)
        except ValueError as error:
            self._fault(at, f"expected HOST NAME=VALUE …: {error}")
            return
        if pattern.endswith(":") or pattern == "---":
            self._fault(at, f"{pattern!r} is not a host name")
            return
        path = (self._group, "hosts", pattern)
        self._part("hosts", at)
        self._put(path, {}, at)
        for word in given:
            name, equals, value = word.partition("=")
            where = at + max(text.find(f"{name}{equals}"), 0)
            if not equals:
                self._fault(where, f"expected NAME=VALUE, found {word!r}", path)
            else:
                self._put((*path, name), _value(value), where, where + len(name) + 1, again=True)

    def _child(self, text: str, at: int) -> None:
        found = _CHILD.fullmatch(text)
        if not found:
            self._fault(at, f"expected a group's name, found {text!r}")
            return
        self._part("children", at)
        self._put((self._group, "children", found[1]), None, at)
        message = f"[{self._group}:children] names {found[1]}, which has no section of its own"
        self._wanted.setdefault(found[1], (at, message))

    def _variable(self, text: str, at: int) -> None:
        name, equals, value = text.partition("=")
        if not equals:
            self._fault(at, f"expected NAME=VALUE, found {text!r}")
            return
        self._part("vars", at)
        start = at + len(name) + 1 + len(value) - len(value.lstrip())
        self._put((self._group, "vars", name.strip()), _value(value.strip()), at, start, again=True)

    def _part(self, part: str, at: int) -> None:
        self._put((self._group,), {}, at)
        self._put((self._group, part), {}, at)

    def _put(
        self, path: tuple[str, ...], value: Any, key: int, start: int | None = None, *, again: bool = False
    ) -> None:
        """Set the key at `path` and its position, unless it is set already; with `again`, override it."""
        holder = self._tree
        for step in path[:-1]:
            holder = holder[step]
        if again or path[-1] not in holder:
            holder[path[-1]] = value
            self._places[path] = (key, key if start is None else start)

    def _fault(self, at: int, message: str, path: KeyPath = ()) -> None:
        self._problems.append(self._source.problem(at, path, message))


def _value(text: str) -> Any:
    """The value that a text stands for."""
    if len(text) > _LONGEST:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return _plain(value, text)


def _plain(value: Any, text: str) -> Any:
    """The literal as YAML would have it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if str(value) == text else text.partition("#")[0].strip()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, str(item)) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, str(item)) for key, item in value.items()}
    return value if isinstance(value, str | bool | None) else text
