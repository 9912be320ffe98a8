"""A command in a container and this process's own streams."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relman.cli.console import relay
from relman.local.terminal import resized
from relman.model.errors import UsageError


def test_a_reader_that_went_away_is_no_fault_of_relman() -> None:
    """As with `| head`: it is said, and nothing more of the output is waited for."""
    reading, writing = os.pipe()
    os.close(reading)
    parts = iter([(writing, b"one"), (writing, b"two")])
    command = SimpleNamespace(terminal=False, output=lambda: parts, send=lambda _: None, end_input=lambda: None)
    with pytest.raises(UsageError, match="cannot be written: Broken pipe"):
        relay(cast(Any, command))
    os.close(writing)
    assert list(parts) == [(writing, b"two")]


def test_a_terminal_without_a_size_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a serial line, or of a program that set none: the container's keeps its own."""
    leader, follower = pty.openpty()
    told = list[tuple[int, int]]()
    with os.fdopen(leader), os.fdopen(follower, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        for size in ((0, 0), (40, 100)):
            fcntl.ioctl(out, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            with resized(lambda lines, columns: told.append((lines, columns))):
                pass
    assert told == [(40, 100)]
