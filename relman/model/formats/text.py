"""Text that is safe to display, lists of names, and what is said of several hosts."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
# ECMA-48, 5.4 and 5.6: control sequences (colours, cursor), and control strings (window titles, hyperlinks) up to BEL
# or ST. https://ecma-international.org/publications-and-standards/standards/ecma-48/
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]P_^X]|[\x9d\x90\x9e\x9f\x98]).*?(?:\x07|\x1b\\|\x9c)"
)
# Other characters that a terminal interprets or hides: C0, DEL, C1, and bidirectional controls; and lone surrogates,
# which cannot be encoded.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without terminal sequences; control characters other than tab and line feed are escaped."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`clean` text on a single line."""
    return clean(" ".join(text.split("\n")))


def some(names: Sequence[str], most: int = 4) -> str:
    """Names separated by commas; of more than `most`, the first ones and the number of the others."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def hosts_by(found: Iterable[tuple[str, T]]) -> Mapping[T, Sequence[str]]:
    """What is said of hosts, `(host, what)`, each once, with its hosts."""
    hosts: dict[T, list[str]] = {}
    for host, what in found:
        hosts.setdefault(what, []).append(host)
    return hosts
