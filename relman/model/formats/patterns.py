"""Pattern lists of OpenSSH (ssh_config(5), PATTERNS, https://man.openbsd.org/ssh_config#PATTERNS), used in known_hosts
and ssh_config."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def listed(subject: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches and no negated one (`!`) does. Only `*` and `?` are wildcards."""
    matched = False
    for pattern in patterns:
        if fnmatchcase(subject, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched
