"""Show the progress of each host on a terminal, redrawn in place."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

import rich.live
from rich.console import Console
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from relman.model.formats.text import one_line

_REDRAWS = 8  # a second


class Live:
    """One row for each host: its phase and duration. A context; writing to `above` prints above the rows."""

    def __init__(self, hosts: Sequence[str], stream: TextIO, *, colour: bool) -> None:
        self._console = Console(file=stream, no_color=not colour, highlight=False)
        self._rows = {host: _Row() for host in hosts}
        self._live = rich.live.Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=_REDRAWS,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.above: TextIO = _Above(self._console)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, host: str, phase: str) -> None:
        """`host` has entered `phase`."""
        self._rows[host] = _Row(phase)

    def finish(self, host: str, outcome: str, *, ok: bool) -> None:
        """`host` is done."""
        self._rows[host] = _Row(outcome, ok)

    def _draw(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for host, row in tuple(self._rows.items()):
            grid.add_row(row.mark, Text(one_line(host)), Text(one_line(row.phase)), Text(row.time, style="dim"))
        return grid


class _Row:
    def __init__(self, phase: str = "", ok: bool | None = None) -> None:
        self.phase = phase
        self._begin = time.monotonic()
        self._ok = ok
        self._spinner = Spinner("line")

    @property
    def mark(self) -> Spinner | Text:
        if self._ok is None:
            return self._spinner if self.phase else Text("")
        return Text("ok", style="green") if self._ok else Text("!!", style="red")

    @property
    def time(self) -> str:
        return f"{time.monotonic() - self._begin:.0f} s" if self._ok is None and self.phase else ""


class _Above(io.StringIO):
    """A stream that prints above the rows."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def write(self, text: str) -> int:
        self._console.print(Text.from_ansi(text), end="", soft_wrap=True)
        return len(text)

    def isatty(self) -> bool:
        return True
