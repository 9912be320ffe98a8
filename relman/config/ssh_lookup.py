"""What ssh_config's lines say of one host: the first value given for a key wins, identity files add up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from relman.config.ssh_file import Line
from relman.model.errors import ConfigError
from relman.model.patterns import listed

_UNSUPPORTED = {
    "proxycommand": "ProxyCommand is not supported: use ProxyJump",
    "hostkeyalias": "HostKeyAlias is not supported: put the host's own name and key into known_hosts",
}
_KEPT = {"hostname", "port", "user", "userknownhostsfile"}
_PROXY = {"proxyjump", "proxycommand"}
_CRITERIA = {"host", "originalhost", "user", "localuser"}


@dataclass
class Found:
    """The lines that hold for `alias`, first for each key; `proxy` is the first of ProxyJump and ProxyCommand."""

    alias: str
    local_user: str
    home: Path
    kept: dict[str, Line] = field(default_factory=dict)
    identities: list[Line] = field(default_factory=list)
    proxy: Line | None = None

    def value(self, key: str) -> str | None:
        """The value of a key with one value."""
        return self.kept[key].arguments[0] if key in self.kept else None

    @property
    def hostname(self) -> str:
        """The address: HostName, or the alias itself."""
        line = self.kept.get("hostname")
        return self._expanded(line, line.arguments[0], {"h": self.alias}) if line else self.alias

    @property
    def identity_files(self) -> list[str]:
        """The files of all IdentityFile lines, in order."""
        return [p for line in self.identities for p in self._paths(line)]

    @property
    def known_hosts(self) -> list[str]:
        """The files of UserKnownHostsFile."""
        return self._paths(self.kept["userknownhostsfile"]) if "userknownhostsfile" in self.kept else []

    @property
    def jumps(self) -> list[str]:
        """The hops of ProxyJump."""
        if not self.proxy or self.proxy.arguments[0].lower() == "none":
            return []
        return [hop.strip() for hop in "".join(self.proxy.arguments).split(",")]

    def _paths(self, line: Line) -> list[str]:
        tokens = {
            "d": str(self.home),
            "h": self.hostname,
            "n": self.alias,
            "u": self.local_user,
            "r": self.value("user") or self.local_user,
        }
        texts = [self._expanded(line, a, tokens) for a in line.arguments if a.lower() != "none"]
        return [str(self.home / t[2:]) if t.startswith("~/") else t for t in texts]

    def _expanded(self, line: Line, text: str, tokens: dict[str, str]) -> str:
        def one(match: re.Match[str]) -> str:
            if (value := (tokens | {"%": "%"}).get(match[1])) is None:
                raise self.refused(line, f"%{match[1]} is not supported here")
            return value

        return re.sub(r"%(.)", one, text)

    def refused(self, line: Line, message: str) -> ConfigError:
        """The error for a line that relman cannot follow for this host."""
        return ConfigError([line.problem(f"ssh to {self.alias}", message)])


def lookup(lines: Iterable[Line], alias: str, *, user: str | None, local_user: str, home: Path) -> Found:
    """What the lines say of `alias`; `user` is the one given outside them. Raises ConfigError for what is refused."""
    found = Found(alias, local_user, home)
    _apply(lines, found, user, active=True)
    return found


def _apply(lines: Iterable[Line], found: Found, user: str | None, *, active: bool) -> None:
    outer = active
    for line in lines:
        if line.keyword == "host":
            active = outer and listed(found.alias, line.arguments)
        elif line.keyword == "match":
            active = outer and _match_line(line, found, user)
        elif active and line.keyword == "include":
            _apply(line.included, found, user, active=True)
        elif active:
            _take(line, found)


def _take(line: Line, found: Found) -> None:
    key = line.keyword
    if key in _PROXY and found.proxy:
        return
    if key in _UNSUPPORTED and line.arguments[0].lower() != "none":
        raise found.refused(line, _UNSUPPORTED[key])
    if key in _PROXY:
        found.proxy = line
    elif key == "identityfile":
        found.identities.append(line)
    elif key in _KEPT:
        found.kept.setdefault(key, line)


def _match_line(line: Line, found: Found, user: str | None) -> bool:
    """Whether a Match line holds. A criterion that relman cannot judge is an error if it would decide."""
    unknown = None
    words = iter(line.arguments)
    for word in words:
        negated, name = word.startswith("!"), word.lstrip("!").lower()
        if name == "all":
            continue
        if name not in _CRITERIA:
            unknown = unknown or name
            if name not in ("canonical", "final"):
                next(words, None)
            continue
        subject = _SUBJECTS[name](found, user)
        if listed(subject, next(words, "").split(",")) == negated:
            return False
    if unknown:
        raise found.refused(line, f"Match {unknown} is not supported: write the hosts under Host")
    return True


_SUBJECTS: dict[str, Callable[[Found, str | None], str]] = {
    "host": lambda found, _: found.hostname,
    "originalhost": lambda found, _: found.alias,
    "user": lambda found, user: user or found.value("user") or found.local_user,
    "localuser": lambda found, _: found.local_user,
}
