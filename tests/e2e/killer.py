"""Run relman and kill it (SIGKILL) just before its Nth call of an Engine method, of `record` (writing a record), of
`healthy` (waiting for health), of `unlock` (releasing a lock), of `place` (giving a proxy its file), of `reload`
(letting it read that) or of `drain` (waiting for the requests before).

usage: python -m tests.e2e.killer WHAT[/ONCE] N ARGUMENTS

With ONCE, another Engine method that is called beside it, no sooner than this has returned.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from relman.cli.main import main
from relman.docker.engine import Engine
from relman.hosts.haproxy import MasterCli
from relman.hosts.state_dir import lock, proxy, record
from relman.rollout import steps
from relman.rollout.proxy import switch

OTHERS: Mapping[str, tuple[Any, str]] = {
    "record": (record.Draft, "place"),
    "healthy": (steps, "await_healthy"),
    "unlock": (lock, "release"),
    "place": (proxy, "place_config"),
    "reload": (MasterCli, "reload"),
    "drain": (switch, "drain"),
}


def kill_before(what: str, count: int, once: str = "") -> None:
    """Make the process die at that call, in whichever thread it comes."""
    calls, returned = itertools.count(1), threading.Event()

    def die() -> None:
        if next(calls) >= count:
            if once:
                returned.wait()
            os.kill(os.getpid(), signal.SIGKILL)

    _wrap(*OTHERS.get(what, (Engine, what)), before=die)
    if once:
        _wrap(Engine, once, after=returned.set)


def _wrap(
    owner: Any, name: str, *, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        before()
        result = original(*arguments, **named)
        after()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    what, count, *arguments = sys.argv[1:]
    first, _, second = what.partition("/")
    kill_before(first, int(count), second)
    sys.argv = ["relman", *arguments]
    main()
