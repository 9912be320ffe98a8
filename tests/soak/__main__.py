"""Every point, and hosts that die at random moments, on two labs of two hosts side by side; prints their numbers.

usage: python -m tests.soak [ACTION...]   kill (relman), cut (a cable), reboot (a host): before every change of a host;
                                          die (a host): at KILLS random moments, of RELMAN_SOAK_SEED (default: the time)

RELMAN_LAB_ID (default 110) is the first lab's number. The labs are gone afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.stage import Stage
from tests.lab.lab import Lab, at_once
from tests.lab.layout import LabError, Layout
from tests.soak.kills import Kills
from tests.soak.moments import kills
from tests.soak.points import KINDS, TRIED, Point, Soak
from tests.soak.trials import Trials, side_by_side

LABS = 2
HOSTS = 2
KILLS = 200
ACTIONS = ("die", "kill", "cut", "reboot")


def main() -> int:
    """Try all; the exit code is 1 if something failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    first = int(os.environ.get("RELMAN_LAB_ID", "110"))
    labs = [Lab(Layout.numbered(first + i, os.environ)) for i in range(LABS)]
    try:
        with tempfile.TemporaryDirectory() as home:
            failures = _soak(labs, sys.argv[1:] or ACTIONS, Path(home))
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for lab in labs:
            lab.down()
    for line in failures:
        print(f"FAILED {line}")
    return 1 if failures else 0


def _soak(labs: Sequence[Lab], actions: Sequence[str], home: Path) -> list[str]:
    failures = _die(_stages(labs, home)) if "die" in actions else []
    if tried := [pair for pair in TRIED if pair[1] in actions]:
        failures += _points(_stages(labs, home), tried)
    return failures


def _stages(labs: Sequence[Lab], home: Path) -> list[Stage]:
    """A stage on each lab, its hosts as new."""
    for lab in labs:
        lab.up(HOSTS)
        at_once(host.reset for host in lab.hosts)
        (home / str(lab.layout.id)).mkdir(exist_ok=True)
    return [Stage(lab, home / str(lab.layout.id)) for lab in labs]


def _die(stages: Sequence[Stage]) -> list[str]:
    """Hosts die at random moments."""
    seed = int(os.environ.get("RELMAN_SOAK_SEED") or time.time())
    print(f"hosts die at random moments: RELMAN_SOAK_SEED={seed}", flush=True)
    killed = [Kills(stage) for stage in stages]
    for each in killed:
        each.prepare()
    trials = Trials(kills(seed, HOSTS), KILLS)
    side_by_side(trials, [(each.trial, each.reset) for each in killed])
    print(f"{trials.done} kills of hosts, {len(trials.failures)} failed (RELMAN_SOAK_SEED={seed})")
    return trials.failures


def _points(stages: Sequence[Stage], tried: Sequence[tuple[str, str]]) -> list[str]:
    """Something happens before every single change, of a service and of a set of processes."""
    failures: list[str] = []
    for kind in KINDS:
        soaks = [Soak(stage, kind) for stage in stages]
        for soak in soaks:
            soak.prepare()
        points = [Point(c, a, n) for c, a in tried for n in range(1, soaks[0].changes(c) + 1)]
        trials = Trials(points, len(points))
        side_by_side(trials, [(soak.trial, soak.reset) for soak in soaks])
        print(f"{trials.done} points of {kind.name} tried, {len(trials.failures)} failed")
        failures += trials.failures
    return failures


if __name__ == "__main__":
    sys.exit(main())
