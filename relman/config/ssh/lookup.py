"""Decide which lines of ssh_config apply to a host: Host and Match (ssh_config(5)), without running anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relman.config.ssh.file import Line
from relman.config.ssh.found import Found
from relman.model.formats.patterns import listed

_KEPT = {
    "hostname", "port", "user", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "connecttimeout",
    "identitiesonly", "identityagent",
}  # fmt: skip
_PROXY = {"proxyjump", "proxycommand"}
_ADDING = {"identityfile", "certificatefile"}
_CANONICAL = "canonicalizehostname"
_PASSES = ("final", "canonical")


def lookup(lines: Iterable[Line], found: Found) -> Found:
    """Add the lines that apply to its host to `found`. Raises ConfigError for a line that cannot be evaluated."""
    lines = tuple(lines)
    canonical = _canonicalizes(lines)
    first = _Pass(found, found.alias, canonical=canonical)
    first.apply(lines)
    if first.final_wanted:
        _Pass(found, found.hostname, canonical=canonical, final=True).apply(lines)
    return found


def _canonicalizes(lines: Sequence[Line]) -> bool:
    """Whether CanonicalizeHostname may look up other names in the DNS, which relman does not do."""
    asked = (line.arguments[0].lower() not in ("no", "false") for line in lines if line.keyword == _CANONICAL)
    return any(asked) or any(_canonicalizes(line.included) for line in lines)


class _Pass:
    """One pass over the lines. If a Match asks for `final` there is a second, in which Host matches the address."""

    def __init__(self, found: Found, host: str, *, canonical: bool, final: bool = False) -> None:
        self.found = found
        self.host = host
        self.canonical = canonical
        self.final = final
        self.final_wanted = False

    def apply(self, lines: Iterable[Line], doubt: str = "", *, active: bool = True) -> None:
        """Add the lines that apply.

        `doubt` is a criterion of an enclosing Match that cannot be evaluated here: supported keys below it are errors.
        """
        outer, outer_doubt = active, doubt
        for line in lines:
            if line.keyword == "host":
                active, doubt = outer and listed(self.host, line.arguments), outer_doubt
            elif line.keyword == "match":
                held, unknown = self._judged(line)
                active, doubt = outer and held, outer_doubt or unknown
            elif line.keyword == "include":
                self.apply(line.included, doubt, active=active)
            elif active:
                self._take(line, doubt)

    def _take(self, line: Line, doubt: str) -> None:
        key, found = line.keyword, self.found
        if key not in {*_KEPT, *_PROXY, *_ADDING} or key in found.kept or (key in _PROXY and found.proxy):
            return
        if key == "connecttimeout" and line.arguments[0] == "none":
            return  # ssh treats it as not set
        if doubt and key == "identityagent":
            found.doubtful_agents.append(line)
            return
        if doubt:
            raise found.refused(line, f"it depends on Match {doubt}, which relman cannot judge: write it under Host")
        if key in _PROXY:
            found.proxy = line
        elif key in _ADDING:
            lines = found.added.setdefault(key, [])
            lines += [] if line in lines else [line]
        else:
            found.kept[key] = line

    def _judged(self, line: Line) -> tuple[bool, str]:
        """Whether a Match line applies by the criteria that can be evaluated, and the first that cannot."""
        unknown = ""
        held = True
        words = iter(line.arguments)
        for word in words:
            name, equals, patterns = word.removeprefix("!").partition("=")
            name = name.lower()
            if name not in ("all", *_PASSES) and not equals:
                patterns = next(words, "")
            matched = self._matches(name, patterns)
            if matched is None:
                unknown = unknown or name
            elif matched == word.startswith("!"):
                held = False
        return held, unknown

    def _matches(self, criterion: str, patterns: str) -> bool | None:
        """Whether a criterion holds; None if that cannot be determined here."""
        found = self.found
        match criterion:
            case "all":
                return True
            case "final" | "canonical":
                self.final_wanted |= criterion == "final"
                return None if self.canonical else self.final
            case "host" | "originalhost":
                subject = found.hostname if criterion == "host" else found.alias
                return listed(subject.lower(), patterns.lower().split(","))
            case "user" | "localuser":
                return listed(found.user if criterion == "user" else found.local_user, patterns.split(","))
        return None
