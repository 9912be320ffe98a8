"""Run relman, and let a host die at a moment: SECONDS after the NUMBERth call of what MOMENTS names.

usage: python -m tests.soak.mortal LAB MOMENT NUMBER SECONDS REPORT ARGUMENTS

The host is the one that the call is about; all its processes are killed, from outside, whatever is under way. REPORT
says then which host `died` ("" if the moment never came), what was asked of it `during` that moment, and whether
anything was asked of it `in_vain` since.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from relman.cli.main import run
from relman.cli.signals import Signals
from relman.docker.engine import Engine
from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, lock
from relman.hosts.state_dir.record import Draft
from relman.rollout import health
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.layout import Layout


def _itself(connection: Connection) -> Connection:
    return connection


def _of(owner: Any) -> Connection:
    found: Connection = owner._connection
    return found


MOMENTS: Mapping[str, tuple[Any, str, Callable[[Any], Connection]]] = {
    "lock": (lock, "acquire", _itself),
    "pull": (Engine, "pull", _of),
    "create": (Engine, "create", _of),
    "stop": (Engine, "stop", _of),
    "start": (Engine, "start", _of),
    "probe": (health, "probe_http", _itself),
    "commit": (Engine, "set_restart", _of),
    "record": (Draft, "place", _of),
    "task": (Engine, "logs_since", _of),
    "unlock": (lock, "release", _itself),
}
_ALSO: Mapping[str, tuple[Any, str, Callable[[Any], Connection]]] = {
    **{
        name: (Engine, name, _of) for name in ("facts", "survey", "inspect", "images", "keep", "remove", "remove_image")
    },
    "write": (files, "write_beside", _itself),
    "read": (files, "read", _itself),
    "intent": (lock, "advance", _itself),
}


@dataclass
class Report:
    """What became of the host."""

    died: str = ""
    during: list[str] = field(default_factory=list)
    in_vain: bool = False


class Death:
    """Waits for the moment."""

    def __init__(self, hosts: Mapping[str, LabHost], moment: str, number: int, seconds: float) -> None:
        self._hosts, self._moment, self._number, self._seconds = hosts, moment, number, seconds
        self._mutex = threading.Lock()
        self._under_way: Counter[tuple[str, str]] = Counter()
        self._calls = 0
        self._timer: threading.Timer | None = None
        self.report = Report()

    def watch(self) -> None:
        """Stand beside every call."""
        for moment, (owner, name, connection_of) in {**MOMENTS, **_ALSO}.items():
            self._wrap(moment, owner, name, connection_of)

    def over(self) -> Report:
        """What happened; nobody dies any more."""
        if self._timer:
            self._timer.cancel()
            self._timer.join()
        return self.report

    def _wrap(self, moment: str, owner: Any, name: str, connection_of: Callable[[Any], Connection]) -> None:
        original = getattr(owner, name)

        def wrapped(first: Any, *arguments: Any, **named: Any) -> Any:
            host = connection_of(first).host.name
            self._begins(moment, host)
            try:
                return original(first, *arguments, **named)
            except BaseException:
                self.report.in_vain |= host == self.report.died
                raise
            finally:
                with self._mutex:
                    self._under_way[host, moment] -= 1

        setattr(owner, name, wrapped)

    def _begins(self, moment: str, host: str) -> None:
        with self._mutex:
            self._under_way[host, moment] += 1
            self._calls += moment == self._moment
            if moment == self._moment and self._calls == self._number:
                self._timer = threading.Timer(self._seconds, self._die, [host])
                self._timer.start()

    def _die(self, host: str) -> None:
        with self._mutex:
            self.report.died = host
            self.report.during = sorted(m for (name, m), count in self._under_way.items() if count and name == host)
        self._hosts[host].kill()


if __name__ == "__main__":
    number, moment, count, seconds, report, *arguments = sys.argv[1:]
    lab = Lab(Layout.numbered(int(number), os.environ))
    death = Death({host.name: host for host in lab.hosts}, moment, int(count), float(seconds))
    death.watch()
    signals = Signals()
    signals.install()
    code = run(arguments, os.environ, signals)
    Path(report).write_text(json.dumps(asdict(death.over())))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as relman itself ends
