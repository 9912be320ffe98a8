"""Groups, hosts and their variables, from Ansible's inventories, group_vars/ and host_vars/.

Documentation: https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html (How variables are merged).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from relman.config.suggestions import kind_of, nearest
from relman.config.yaml_document import Document, KeyPath
from relman.model.errors import Problem

ALL = "all"
UNGROUPED = "ungrouped"
SERVICES = "relman_services"
_PARTS = ("hosts", "children", "vars")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_RANGE = re.compile(r"\[(?P<first>[0-9]+|[A-Za-z]):(?P<last>[0-9]+|[A-Za-z])(?::(?P<step>[0-9]+))?\]")
_MAX_HOSTS = 10_000
PORT = "ansible_port"
# A host pattern before a port: in brackets as a whole, or a name with colons only inside brackets (ranges).
_BRACKETED = re.compile(r"\[(?P<host>[0-9A-Za-z_.:-]+)\]:(?P<port>[0-9]{1,5})")
_WITH_PORT = re.compile(r"(?P<host>(?:[^:\[\]]|\[[^\]]*\])+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Variable:
    """A variable's value as written, and its position."""

    value: Any
    document: Document
    path: KeyPath

    def problem(self, message: str, at: KeyPath = (), *, on_key: bool = False) -> Problem:
        """A problem of the value, or of the part of it at the path `at`."""
        return self.document.problem((*self.path, *at), message, on_key=on_key)


Variables = dict[str, Variable]


@dataclass
class Member:
    """The own variables of a host or group; `file_vars` are those from host_vars/ or group_vars/."""

    vars: Variables = field(default_factory=dict)
    file_vars: Variables = field(default_factory=dict)


@dataclass
class Group(Member):
    """One group: its own hosts, its child groups, and its variables."""

    hosts: set[str] = field(default_factory=set)
    children: list[str] = field(default_factory=list)

    def has(self, variable: str) -> bool:
        """Whether it sets this variable itself."""
        return variable in self.vars or variable in self.file_vars


class Tree:
    """All groups and hosts. `add` merges documents as Ansible does: later values override earlier ones."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {ALL: Group(), UNGROUPED: Group()}
        self.hosts: dict[str, Member] = {}
        self.problems: list[Problem] = []
        self._within: set[KeyPath] = set()

    def add(self, document: Document) -> None:
        """Merge an inventory file; its faults are added to `problems`, except those in variables that relman does not
        read."""
        self._within = set()
        for name, body in self._mapping(document, (), document.tree):
            self._group(document, (name,), name, body)
        self._add_faults(document, self._within)

    def add_vars(self, document: Document) -> Variables:
        """Return the variables of a file of group_vars/ or host_vars/; faults are treated as in `add`."""
        self._add_faults(document, {()})
        return self.read_vars(document, (), document.tree)

    def _add_faults(self, document: Document, within: set[KeyPath]) -> None:
        for path, problem in document.faults:
            holder = next((path[:n] for n in range(len(path)) if path[:n] in within), None)
            if holder is None or is_used(str(path[len(holder)])):
                self.problems.append(problem)

    def members(self, group: str) -> list[str]:
        """The names of all hosts in a group and its descendants, in the order of the files."""
        if group == ALL:
            return list(self.hosts)
        below = {name for g in self._below(group) for name in self.groups[g].hosts}
        if group == UNGROUPED:
            below = set(self.hosts) - {n for g in set(self.groups) - {ALL, UNGROUPED} for n in self.groups[g].hosts}
        return [name for name in self.hosts if name in below]

    def variables(self, host: str, environment: str = ALL) -> Variables:
        """All variables of a host; the last layer that sets one decides."""
        return {key: value for layer in self.layers(host, environment) for key, value in layer.items()}

    def layers(self, host: str, environment: str = ALL) -> list[Variables]:
        """A host's variables in layers, lowest precedence first: groups by depth, then the host.

        For a host of several environments, `environment` and the groups in it take precedence over other groups, and
        other environments (groups with services of their own) are ignored.
        """
        depths, within = self._depths(), self._below(environment) if environment != ALL else set[str]()
        names = sorted(self._heard(host, environment), key=lambda name: (name in within, depths[name], name))
        layers = [self.groups[name].vars for name in names] + [self.groups[name].file_vars for name in names]
        return [*layers, self.hosts[host].vars, self.hosts[host].file_vars]

    def groups_of(self, host: str) -> list[str]:
        """The groups that contain a host, directly or through children."""
        direct = {name for name, group in self.groups.items() if host in group.hosts} or {UNGROUPED}
        return [name for name in self.groups if name == ALL or self._below(name) & direct]

    def _heard(self, host: str, environment: str) -> list[str]:
        """The groups of a host without those of other environments."""
        if environment == ALL:
            return self.groups_of(host)
        below = self._below(environment)
        return [
            name
            for name in self.groups_of(host)
            if name == ALL or name in below or environment in self._below(name) or not self.groups[name].has(SERVICES)
        ]

    def all_variables(self) -> Iterator[tuple[str, Variable]]:
        """Every variable set anywhere."""
        holders: list[Member] = [*self.groups.values(), *self.hosts.values()]
        for holder in holders:
            yield from holder.vars.items()
            yield from holder.file_vars.items()

    def _group(self, document: Document, path: KeyPath, name: str, body: Any) -> None:
        group = self.groups.setdefault(name, Group())
        for part, value in self._mapping(document, path, body):
            at = (*path, part)
            if part == "hosts":
                for pattern, own in self._mapping(document, at, _named(value)):
                    self._hosts(document, (*at, pattern), group, own)
            elif part == "children":
                for child, inner in self._mapping(document, at, _named(value)):
                    self._child(document, (*at, child), name, child)
                    self._group(document, (*at, child), child, inner)
            elif part == "vars":
                self._within.add(at)
                group.vars.update(self.read_vars(document, at, value))
            else:
                near = nearest(part, _PARTS)
                advice = f"did you mean {near}?" if near else "a group has hosts, children and vars"
                self.problems.append(document.problem(at, f"unknown key; {advice}", on_key=True))

    def _child(self, document: Document, path: KeyPath, parent: str, child: str) -> None:
        if parent in self._below(child) or child == ALL:
            self.problems.append(document.problem(path, f"{child} already contains {parent}", on_key=True))
        elif child not in self.groups[parent].children:
            self.groups.setdefault(child, Group())
            self.groups[parent].children.append(child)

    def _hosts(self, document: Document, path: KeyPath, group: Group, own: Any) -> None:
        pattern = str(path[-1])
        try:
            bare, port = with_port(pattern)
            names = expand(bare)
        except ValueError as error:
            self.problems.append(document.problem(path, str(error), on_key=True))
            return
        self._within.add(path)
        found = self.read_vars(document, path, own)
        said = {PORT: Variable(port, document, path)} if port else {}
        for name in names:
            known = self.hosts.setdefault(name, Member(dict(said)))
            known.vars.update(found)
            group.hosts.add(name)

    def read_vars(self, document: Document, path: KeyPath, body: Any) -> Variables:
        """The variables of a mapping; adds a problem if it is not a mapping."""
        return {key: Variable(value, document, (*path, key)) for key, value in self._mapping(document, path, body)}

    def _mapping(self, document: Document, path: KeyPath, body: Any) -> Iterable[tuple[str, Any]]:
        if isinstance(body, dict):
            return body.items()
        if body is not None:
            self.problems.append(document.problem(path, f"expected names and their values, found {kind_of(body)}"))
        return ()

    def _below(self, group: str) -> set[str]:
        """A group and all its descendants."""
        found, fresh = set[str](), {group}
        while fresh:
            found |= fresh
            fresh = {child for g in fresh if g in self.groups for child in self.groups[g].children} - found
        return found

    def _depths(self) -> dict[str, int]:
        """The depth of each group below `all`, by the longest path."""
        depths = dict.fromkeys(self.groups, 1) | {ALL: 0}
        level, fresh = 1, set(self.groups) - {ALL}
        while fresh := {child for g in fresh for child in self.groups[g].children}:
            level += 1
            depths |= dict.fromkeys(fresh, level)
        return depths


def is_used(variable: str) -> bool:
    """Whether a variable has a prefix of those that relman reads."""
    return variable.startswith(("ansible_", "relman_"))


def _named(value: Any) -> Any:
    """Ansible accepts a single name in place of a mapping with that key."""
    return {value: None} if isinstance(value, str) else value


def with_port(pattern: str) -> tuple[str, int | None]:
    """Split a host pattern and its port, as in `web[1:3]:2222` or `[2001:db8::1]:22`. Raises ValueError."""
    found = _BRACKETED.fullmatch(pattern) or _WITH_PORT.fullmatch(pattern)
    if not found:
        return pattern, None
    port = int(found["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port: expected 1 to 65535")
    return found["host"], port


def expand(pattern: str) -> list[str]:
    """The host names of a pattern: `web[1:3]`, `web[01:10:3]`, `db-[a:c]`; ranges include both ends.

    Raises ValueError for an invalid name, or too many hosts.
    """
    names = [""]
    end = 0
    for found in _RANGE.finditer(pattern):
        items = _items(found)
        if len(names) * len(items) > _MAX_HOSTS:
            raise ValueError(f"more than {_MAX_HOSTS} hosts")
        names = [name + pattern[end : found.start()] + item for name in names for item in items]
        end = found.end()
    names = [name + pattern[end:] for name in names]
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("expected a host's name of letters, digits and - _ . : or a range such as web[1:3]")
    return names


def _items(found: re.Match[str]) -> list[str]:
    first, last, step = found["first"], found["last"], int(found["step"] or 1)
    if first.isdigit() != last.isdigit() or not step or max(len(first), len(last)) > 9:
        raise ValueError(f"the range {found[0]} is invalid")
    if first.isdigit():
        numbers = range(int(first), int(last) + 1, step)
        width = len(first) if first.startswith("0") else 0
        items = [str(n).zfill(width) for n in numbers[: _MAX_HOSTS + 1]]
    else:
        items = [chr(n) for n in range(ord(first), ord(last) + 1, step)]
    if not items:
        raise ValueError(f"the range {found[0]} is empty: write the smaller end first")
    return items
