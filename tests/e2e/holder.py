"""Run relman and hold it just before it calls a method of a host's Engine (or `release`, which lets a lock go) for the
first time, until a file is there: time in which a test breaks something.

usage: python -m tests.e2e.holder METHOD HOST FILE ARGUMENTS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from relman.cli.main import main
from relman.docker.engine import Engine
from relman.rollout.state.lease import Lease

_LONGEST = 60.0


def hold_before(method: str, host: str, file: Path) -> None:
    """Wait for the file before that call; `held` is said when it is reached."""
    owner: Any = Lease if method == "release" else Engine
    original = getattr(owner, method)

    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        name = self._where[0].host.name if method == "release" else self._host
        if name == host and not file.exists():
            print("held", flush=True)
            deadline = time.monotonic() + _LONGEST
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        return original(self, *arguments, **named)

    setattr(owner, method, wrapped)


if __name__ == "__main__":
    method, host, file, *arguments = sys.argv[1:]
    hold_before(method, host, Path(file))
    sys.argv = ["relman", *arguments]
    main()
