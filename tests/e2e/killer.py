"""Run relman and kill it (SIGKILL) just before its Nth call of an Engine method, or of `record` (writing a record).

usage: python -m tests.e2e.killer WHAT N ARGUMENTS
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from relman.cli.main import main
from relman.docker.engine import Engine
from relman.hosts.state_dir import record


def kill_before(what: str, count: int) -> None:
    """Make the process die at that call, in whichever thread it comes."""
    calls = itertools.count(1)
    owner, name = (record.Draft, "place") if what == "record" else (Engine, what)
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    what, count, *arguments = sys.argv[1:]
    kill_before(what, int(count))
    sys.argv = ["relman", *arguments]
    main()
