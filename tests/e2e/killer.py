"""Run relman and kill it (SIGKILL) just before its Nth call of one Engine method.

usage: python -m tests.e2e.killer METHOD N ARGUMENTS
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from relman.cli.main import main
from relman.hosts.engine import Engine


def kill_before(method: str, count: int) -> None:
    """Make the process die at that call, in whichever thread it comes."""
    calls = itertools.count(1)
    original = getattr(Engine, method)

    def wrapped(self: Engine, *arguments: Any, **named: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments, **named)

    setattr(Engine, method, wrapped)


if __name__ == "__main__":
    method, count, *arguments = sys.argv[1:]
    kill_before(method, int(count))
    sys.argv = ["relman", *arguments]
    main()
