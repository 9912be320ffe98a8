"""Text as people read it: nothing that moves a terminal's cursor, and lists of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

# ECMA-48: control sequences (colours, cursor), then the strings (window titles, hyperlinks) up to BEL or ST.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]P_^X]|[\x9d\x90\x9e\x9f\x98]).*?(?:\x07|\x1b\\|\x9c)"
)
# What else a terminal obeys or hides: C0, DEL, C1, and the marks that turn the direction of text; lone surrogates
# cannot be written at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without terminal sequences; any other control character but tab and newline is shown as its escape."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`clean` text on a single line."""
    return clean(" ".join(text.split("\n")))


def some(names: Sequence[str], most: int = 4) -> str:
    """Names in a row; where they are more than `most`, the first ones and how many more."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
