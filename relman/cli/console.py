"""Give a command in a container this process's terminal, or its input and output."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from relman.docker.attached import Attached
from relman.local.terminal import raw_terminal, resized, write_all
from relman.model.errors import RelmanError, UsageError

_CHUNK = 1 << 15


def relay(command: Attached) -> None:
    """Forward what is typed or piped, and print what the command prints, until its output ends.

    Raises UsageError if nobody reads what it prints any more (`| head`).
    """
    with contextlib.ExitStack() as stack:
        if command.terminal:
            stack.enter_context(resized(lambda lines, columns: _resize(command, lines, columns)))
            stack.enter_context(raw_terminal())
        threading.Thread(target=_forward, args=(command,), daemon=True).start()
        for handle, data in command.output():
            try:
                write_all(handle, data)
            except OSError as error:
                raise UsageError(f"what the command prints cannot be written: {error.strerror}") from error


def _resize(command: Attached, lines: int, columns: int) -> None:
    with contextlib.suppress(RelmanError):  # its size matters less than the command, which may have ended
        command.resize(lines, columns)


def _forward(command: Attached) -> None:
    """An error is told by what reads the output."""
    with contextlib.suppress(RelmanError, OSError, ValueError):
        while sys.stdin and (typed := os.read(sys.stdin.fileno(), _CHUNK)):
            command.send(typed)
    with contextlib.suppress(RelmanError):
        command.end_input()
