"""Lists of patterns as OpenSSH has them (ssh_config(5), PATTERNS): of its files, known_hosts and ssh_config alike."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def listed(subject: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches and no negated one (`!`) does; only * and ? are wild."""
    matched = False
    for pattern in patterns:
        if fnmatchcase(subject, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched
