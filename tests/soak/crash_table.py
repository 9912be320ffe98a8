"""The crash table: relman dies on a host with several processes, after each step; what runs then, what a reboot brings
back, and what the next commands make of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.soak.left_behind import service_containers, tidy

IDLE = {"command": ["busybox", "sleep", "1000"], "health": {"none": True, "window": "0.2s"}, "ports": []}
# Two that start first and, last, one that stops first; their letters are those of the table.
PROCESSES: Mapping[str, Any] = {
    "web": {"ports": []},
    "keeper": IDLE,
    "scheduler": {**IDLE, "order": "stop-first"},
}
DEPLOY = {"processes": PROCESSES, "keep": 1, "health": {"http": {"port": 8080, "path": "/health"}, "window": "0s"}}
TAGS = ("crash-1", "crash-2")
OLD, NEW = "KSW", "ksw"


@dataclass(frozen=True)
class Row:
    """After this `step` relman dies: before its `count`-th call of `what` (tests.e2e.killer).

    `dead` is what runs then, `booted` what a reboot brings back. A capital is an old container, another letter a new
    one: web, keeper, scheduler. Then a deployment is refused, starts what nothing runs of, and `recover` finishes where
    all new ones run, and undoes all else.
    """

    step: str
    what: str
    count: int
    dead: str
    booted: str


ROWS = (
    Row("intent; the old S restarts always", "create/set_restart", 1, "KSW", "KSW"),
    Row("all new ones are created", "start", 1, "KSW", "KSW"),
    Row("the new W, K are healthy", "stop", 1, "KSWkw", "KSW"),
    Row("the old S is stopped", "start", 3, "KWkw", "KSW"),
    Row("the new S is started", "healthy", 2, "KWksw", "KSW"),
    Row("the new S is healthy, all are read back", "set_restart", 2, "KWksw", "KSW"),
    Row("the old S no longer restarts", "set_restart", 3, "KWksw", "KW"),
    Row("the new ones have their own policies", "set_restart", 6, "KWksw", "KWksw"),
    Row("the old W, K are stopped", "record", 1, "ksw", "ksw"),
    Row("the record is in place", "unlock", 1, "ksw", "ksw"),
)


@dataclass(frozen=True)
class Crash:
    """A row, with a reboot after the death or without."""

    row: Row
    reboot: bool

    def __str__(self) -> str:
        return f"death{' and reboot' if self.reboot else ''} after: {self.row.step}"

    @property
    def left(self) -> str:
        """What runs after it."""
        return self.row.booted if self.reboot else self.row.dead


CRASHES = tuple(Crash(row, reboot) for row in ROWS for reboot in (False, True))


class CrashedHost:
    """A host that is an environment of its own, on which crashes are tried one after the other."""

    def __init__(self, stage: Stage, host: LabHost) -> None:
        self.stage, self.host, self._old = stage, host, ""

    def reset(self) -> None:
        """The host as new, with the first release."""
        self.host.reset()
        self._old = TAGS[0]
        self._relman("deploy", self._old, "--yes")

    def trial(self, crash: Crash) -> str:
        """Try one crash; returns how long it took. Raises AssertionError."""
        begin = time.monotonic()
        old, new = self._old, next(tag for tag in TAGS if tag != self._old)
        code = self.stage.relman_killed(crash.row.what, crash.row.count, "deploy", new, *self._place, "--yes")
        assert code == -9, f"ended with {code}"
        if crash.reboot:
            self.host.reboot()
        assert self._runs(old) == crash.left
        assert "recover" in self._relman("status", code=10 if self._lacks(old) else 7)
        self._relman("deploy", new, "--yes", code=7)
        assert not self._lacks(old), f"after the refused deployment there runs {self._runs(old)}"
        self._relman("recover")
        finished = set(NEW) <= set(crash.left)
        assert self._runs(old) == (NEW if finished else OLD)
        self._old = new if finished else old
        self._relman("status")
        tidy(self.host, environment=f"on-{self.host.name}", images=False)
        return f"{time.monotonic() - begin:.1f} s"

    @property
    def _place(self) -> tuple[str, str]:
        return ("-e", f"on-{self.host.name}")

    def _relman(self, verb: str, *arguments: str, code: int = 0) -> str:
        return self.stage.relman(verb, *arguments, *self._place, code=code).text

    def _runs(self, old: str) -> str:
        """The letters of what runs."""
        labels = [c["Labels"] for c in service_containers(self.host)]
        letters = [(c["relman.process"][0], c["relman.release"] == old) for c in labels]
        return "".join(sorted(letter.upper() if is_old else letter for letter, is_old in letters))

    def _lacks(self, old: str) -> bool:
        return set(self._runs(old).lower()) < set(NEW)
