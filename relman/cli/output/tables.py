"""Lay out tables for a terminal: words are not broken, and values that all rows share are shown once. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from relman.model.formats.text import one_line

_GAP = "  "
_MOST_LINES = 5  # lines of one cell; with more, rows are shown as lists
_SHORT = 16  # characters; a cell that is not wider is not wrapped
_HANGING = " " * 5


@dataclass(frozen=True)
class Table:
    """The lines of a table's heading (none if rows are lists), and its body."""

    head: Sequence[str]
    body: Sequence[str]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, shared: Collection[str] = ()) -> Table:
    """Left-aligned columns within `width`.

    Wide cells are wrapped between words; if that is not readable, each row becomes a list under its first cell. A
    column in `shared` whose values are equal, except in rows where all shared columns are empty, is shown below the
    rows, or not at all if empty.
    """
    columns, cells, common = _without_common(columns, [[one_line(cell) for cell in row] for row in rows], shared)
    lines = [part for line in common for part in _wrapped(line, width, _HANGING)]
    widths = _widths([columns, *cells], width)
    if not _is_readable(cells, widths, width):
        return Table((), [*(line for row in cells for line in _listed(columns, row, width)), *lines])
    return Table([*_row(columns, widths)], [*(line for row in cells for line in _row(row, widths)), *lines])


def _without_common(
    columns: Sequence[str], rows: list[list[str]], shared: Collection[str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Columns and rows without shared values, and the lines that show these."""
    may = [i for i, column in enumerate(columns) if column in shared]
    telling = [row for row in rows if any(row[i] for i in may)] or rows
    common = [i for i in may if len(telling) > 1 and len({row[i] for row in telling}) == 1]
    whose = "all" if len(telling) == len(rows) else "all others"
    kept = [i for i in range(len(columns)) if i not in common]
    said = [f"{whose}: {columns[i].lower()} {telling[0][i]}" for i in common if telling[0][i]]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows], said


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The width of every column: the widest, except the first, are reduced until all fit, but not below their longest
    word or _SHORT."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [widths[0], *(_least(column) for column in columns[1:])]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        wide = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _least(column: Sequence[str]) -> int:
    longest = max(len(word) for cell in column for word in (cell.split() or [""]))
    return max(longest, min(_SHORT, max(map(len, column))))


def _is_readable(cells: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> bool:
    fits = sum(widths) + len(_GAP) * (len(widths) - 1) <= width
    return fits and all(len(_wrapped(c, w)) <= _MOST_LINES for row in cells for c, w in zip(row, widths, strict=True))


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    parts = [_wrapped(cell, width, _indent(cell)) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, parts))):
        line = (part[number] if number < len(part) else "" for part in parts)
        yield _GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _listed(columns: Sequence[str], cells: Sequence[str], width: int) -> Iterator[str]:
    """A row as a list: its first cell and those without a heading, then the others."""
    pairs = [*zip(columns, cells, strict=True)]
    title = [cells[0], *(cell for column, cell in pairs[1:] if not column)]
    if any(title):
        yield from _wrapped(_GAP.join(title).rstrip(), width, _indent(cells[0]))
    label = max((len(column) for column in columns[1:]), default=0)
    for column, cell in pairs[1:]:
        if column and cell:
            before = f"{_GAP}{column.lower().ljust(label)}{_GAP}"
            yield from _wrapped(before + cell, width, " " * len(before))


def _indent(cell: str) -> str:
    return cell[: len(cell) - len(cell.lstrip())]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
