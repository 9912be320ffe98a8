"""This process's terminal, while a program elsewhere has it."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def has_terminal() -> bool:
    """Whether standard input and output are a terminal."""
    return bool(sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty())


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Let every key be read as it is, including Ctrl-C; the terminal is restored afterwards."""
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def resized(resize: Callable[[int, int], None]) -> Iterator[None]:
    """Call `resize` with the terminal's lines and columns, now and whenever they change, as far as it has any."""

    def tell(*_: object) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())  # COLUMNS would stay as it is
        if size.lines and size.columns:
            resize(size.lines, size.columns)

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGWINCH, tell)
    try:
        tell()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def write_all(handle: int, data: bytes) -> None:
    """Write all bytes to a file descriptor. Raises OSError."""
    while data:
        data = data[os.write(handle, data) :]
