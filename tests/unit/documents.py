"""Markdown as the documentation tests read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: what follows its opening fence, its text, and the line on which the text begins."""

    info: str
    text: str
    line: int


@dataclass(frozen=True)
class Section:
    """A heading without its marks, and the text up to the next heading of any level."""

    title: str
    text: str


def blocks(text: str) -> list[Block]:
    """All fenced blocks."""
    return [Block(m["info"], m["text"], text.count("\n", 0, m.start()) + 2) for m in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def sections(text: str, *levels: int) -> Iterator[Section]:
    """The sections whose heading has one of these levels; headings inside of fenced blocks are none."""
    parts = re.split(r"^(#{1,6}) (.+)$", prose(text), flags=re.MULTILINE)
    for marks, title, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if len(marks) in levels:
            yield Section(title.replace("`", ""), body.strip())


def under(text: str, title: str) -> str:
    """Everything below the second-level heading `title`, up to the next one."""
    _, _, rest = text.partition(f"\n## {title}\n")
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def headings(text: str) -> list[tuple[int, str]]:
    """All headings, each with its level."""
    return [(len(marks), title) for marks, title in re.findall(r"^(#{1,6}) (.+)$", prose(text), re.MULTILINE)]


def anchor(title: str) -> str:
    """The fragment by which GitHub reaches a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """The fragments by which GitHub reaches the headings."""
    return {anchor(title) for _, title in headings(text)}


def exit_table(text: str) -> dict[int, str]:
    """The rows of a table of exit codes: code to name."""
    return {int(code): name for code, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", text, re.MULTILINE)}
