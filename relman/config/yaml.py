"""Parse a YAML file into plain values, and record the position of each.

Scalars follow the core schema of YAML 1.2 (section 10.3, https://yaml.org/spec/1.2.2/#103-core-schema), in which `no`,
`22:22` and `010` are not a boolean, a sexagesimal and an octal number, with one more rule: a number that would be
written differently (`1.10`, `010`) stays text, so that no digit is lost between the file and the container.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from relman.config.yaml_document import Document, KeyPath, Source, Tagged
from relman.model.errors import ConfigError, Problem, UsageError

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 40
_MAX_NODES = 100_000
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_CORE = "tag:yaml.org,2002:"
_KNOWN_TAGS = {
    _CORE + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
}


class EmptyFile(ConfigError):
    """The file contains nothing but comments."""


def read(path: Path, *, lenient: bool = False) -> Document:
    """Read and parse the file. Raises UsageError if it cannot be read, ConfigError if it is not YAML."""
    return parse(content(path), str(path), lenient=lenient)


def content(path: Path) -> bytes:
    """The bytes of the file. Raises UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="Check the path and its permissions") from error


def parse(data: bytes, file: str, *, lenient: bool = False) -> Document:
    """Parse the bytes of `file`. Faults that leave the rest readable are in the document's `faults`.

    `lenient` is for files that other programs read too: merge keys (<<) are applied, numeric keys become text, and the
    last of duplicate keys wins; all but merge keys are still recorded as faults of the value.

    Raises ConfigError unless the bytes are a single YAML document within the limits, EmptyFile if they are empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Source.of(file, data[: error.start].decode("utf-8-sig", "replace") + "?")
        raise ConfigError([before.problem(before.end, (), "this is not UTF-8 text")]) from None
    source = Source.of(file, text)
    if len(data) > _MAX_BYTES:
        raise ConfigError([source.problem(0, (), f"the file is larger than {_MAX_BYTES >> 20} MiB")])
    return _Walk(source, lenient).document(_compose(text, source))


class _Fault(Exception):
    """A syntax error; never leaves this module."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset


class _Loader(yaml.SafeLoader):
    """Composes nodes, up to a maximal depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node. Raises _Fault beyond _MAX_DEPTH."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Fault(f"nested deeper than {_MAX_DEPTH} levels", self.get_mark().index)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str, source: Source) -> yaml.Node:
    """The root node of the single document."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        except (ValueError, OverflowError):  # an escape such as "\U99999999" is not caught by the scanner
            raise _Fault("this is not valid YAML: a character or number is out of range", loader.index) from None
    except (_Fault, yaml.YAMLError) as error:
        message, offset = _said(error)
        raise ConfigError([source.problem(offset, (), message)]) from None
    if node is None:
        raise EmptyFile([source.problem(0, (), "the file is empty")])
    return node


def _said(error: Exception) -> tuple[str, int]:
    """The message and offset of a syntax error."""
    if isinstance(error, _Fault):
        return error.message, error.offset
    if isinstance(error, yaml.reader.ReaderError):
        # PyYAML gives either the character or its code point.
        found = error.character if isinstance(error.character, int) else ord(error.character)
        return f"the character U+{found:04X} is not allowed", error.position
    assert isinstance(error, yaml.MarkedYAMLError)  # noqa: S101  # all others of its kind carry marks
    mark = error.problem_mark or error.context_mark
    offset = mark.index if mark else 0
    problem = error.problem or ""
    if "but found another document" in problem:
        return "only one document is allowed in a file: remove this and what follows", offset
    if "'\\t'" in problem:
        return "a tab cannot indent: use spaces", offset
    context = f"{error.context}: " if error.context else ""
    return f"this is not valid YAML: {context}{problem}", offset


class _Walk:
    """Converts nodes to values, recording positions and faults."""

    def __init__(self, source: Source, lenient: bool) -> None:
        self.source = source
        self.lenient = lenient
        self.merging: set[int] = set()
        self.faults: list[tuple[KeyPath, Problem]] = []
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.nodes = 0

    def document(self, root: yaml.Node) -> Document:
        """Convert the whole document. Raises ConfigError if aliases expand beyond the limits."""
        self.places[()] = (root.start_mark.index, root.start_mark.index)
        tree = self.value(root, ())
        return Document(self.source, tree, tuple(self.faults), self.places)

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The plain value of a node."""
        self.nodes += 1
        if self.nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            raise ConfigError([self.fault(node, path[:2], "too many values: an alias repeats too much, or itself")])
        if node.tag not in _KNOWN_TAGS:
            return Tagged(node.tag, str(node.value) if isinstance(node, yaml.ScalarNode) else "")
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(value, (*path, key)) for key, value in self.pairs(node, path)}
        if isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                self.places[*path, i] = (item.start_mark.index, item.start_mark.index)
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101  # there are three kinds of nodes
        return self.scalar(node, path)

    def pairs(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        """The entries with valid keys; others become faults."""
        seen: dict[str, int] = {}
        if self.lenient:
            yield from self.merged(node, path)
        for key, value in node.value:
            offset = key.start_mark.index
            if not isinstance(key, yaml.ScalarNode):
                self.note(key, path, "a key must be text")
            elif key.tag == f"{_CORE}merge":
                if not self.lenient:
                    self.note(key, path, "merge keys (<<) are not supported: write the keys out")
            elif not isinstance(name := self.scalar(key, path), str):
                self.note(
                    key, (*path, str(key.value)), f'a key must be text: write "{key.value}" in quotes', shown=path
                )
                if self.lenient:
                    yield self.place(path, str(key.value), offset, value)
            else:
                if name in seen:
                    line = self.source.problem(seen[name], (), "").line
                    self.note(key, (*path, name), f"duplicate key: first given in line {line}")
                if name not in seen or self.lenient:
                    seen[name] = offset
                    yield self.place(path, name, offset, value)

    def merged(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        """The entries from merge keys (https://yaml.org/type/merge.html); the first mapping with a key wins."""
        for key, value in node.value:
            if key.tag == f"{_CORE}merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):
                    if not isinstance(source, yaml.MappingNode):
                        self.note(value, path, "a merge key (<<) needs a mapping, or a list of them")
                    elif id(source) in self.merging:
                        self.note(value, path, "a merge key (<<) includes itself")
                    else:
                        self.merging.add(id(source))
                        yield from self.pairs(source, path)
                        self.merging.discard(id(source))

    def place(self, path: KeyPath, name: str, offset: int, value: yaml.Node) -> tuple[str, yaml.Node]:
        """Record the position of an entry."""
        self.places[*path, name] = (offset, value.start_mark.index)
        return name, value

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        """A scalar by the core schema, without loss."""
        text = str(node.value)
        if bad := next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None):
            self.note(node, path, f"the character U+{ord(bad):04X} is not allowed")
            return text.replace(bad, "?")
        return text if node.style or node.tag == f"{_CORE}str" else _plain(text)

    def note(self, node: yaml.Node, path: KeyPath, message: str, shown: KeyPath | None = None) -> None:
        """Record a fault that leaves the rest readable."""
        self.faults.append((path, self.fault(node, path if shown is None else shown, message)))

    def fault(self, node: yaml.Node, path: KeyPath, message: str) -> Problem:
        """A problem at a node."""
        return self.source.problem(node.start_mark.index, path, message)


def _plain(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        number = float(text) if "." in text else int(text)
        return number if str(number) == text else text
    return text
