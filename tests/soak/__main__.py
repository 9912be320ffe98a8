"""Every point, on two labs of two hosts side by side; prints their number. usage: python -m tests.soak [ACTION...]

RELMAN_LAB_ID (default 110) is the first lab's number. The labs are gone afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.stage import Stage
from tests.lab.lab import Lab
from tests.lab.layout import LabError, Layout
from tests.soak.points import TRIED, Point, Soak

LABS = 2
HOSTS = 2


def main() -> int:
    """Try all points; the exit code is 1 if one failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    first = int(os.environ.get("RELMAN_LAB_ID", "110"))
    labs = [Lab(Layout.numbered(first + i, os.environ)) for i in range(LABS)]
    tried = [pair for pair in TRIED if pair[1] in (sys.argv[1:] or ("kill", "cut", "reboot"))]
    try:
        with tempfile.TemporaryDirectory() as home:
            return _soak(labs, tried, Path(home))
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for lab in labs:
            lab.down()


def _soak(labs: Sequence[Lab], tried: Sequence[tuple[str, str]], home: Path) -> int:
    soaks = []
    for lab in labs:
        lab.up(HOSTS)
        (home / str(lab.layout.id)).mkdir()
        soaks.append(Soak(Stage(lab, home / str(lab.layout.id))))
        soaks[-1].prepare()
    points = _Points([Point(c, a, n) for c, a in tried for n in range(1, soaks[0].changes(c) + 1)])
    with ThreadPoolExecutor(len(soaks)) as pool:
        workers = [pool.submit(points.work_off, soak) for soak in soaks]
        try:
            failures = [line for worker in workers for line in worker.result()]
        except KeyboardInterrupt:
            points.stop()
            raise
    for line in failures:
        print(f"FAILED {line}")
    print(f"{points.done} points tried, {len(failures)} failed")
    return 1 if failures else 0


class _Points:
    """Points that several labs work off."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._left: Iterator[Point] = iter(points)
        self._of = len(points)
        self._mutex = threading.Lock()
        self.done = 0

    def work_off(self, soak: Soak) -> list[str]:
        """Try one after the other until none is left; returns what failed."""
        failures: list[str] = []
        while point := self._next():
            try:
                said = f"{soak.trial(point):.1f} s"
            except (AssertionError, LabError) as error:
                said = f"FAILED: {error}"
                failures.append(f"{point}: {error}")
                for host in soak.stage.lab.hosts:
                    host.reset()
            with self._mutex:
                self.done += 1
                print(f"{self.done}/{self._of} {point}: {said}", flush=True)
        return failures

    def stop(self) -> None:
        """Begin no further point."""
        with self._mutex:
            self._left = iter(())

    def _next(self) -> Point | None:
        with self._mutex:
            return next(self._left, None)


if __name__ == "__main__":
    sys.exit(main())
