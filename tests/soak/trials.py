"""Trials that several labs work off side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from tests.lab.layout import LabError

T = TypeVar("T")


class Trials(Generic[T]):
    """Tries one after the other until none is left or `wanted` have been tried; a failed one is told and noted."""

    def __init__(self, trials: Iterable[T], wanted: int) -> None:
        self._left: Iterator[T] = iter(trials)
        self._wanted = wanted
        self._mutex = threading.Lock()
        self.done = 0
        self.failures: list[str] = []

    def work_off(self, attempt: Callable[[T], str], reset: Callable[[], None]) -> None:
        """Try what is left. `attempt` returns what there is to say; nothing where there was nothing to try. `reset`
        follows a failure."""
        while trial := self._next():
            try:
                self._note(trial, attempt(trial))
            except (AssertionError, LabError) as error:
                self._note(trial, f"FAILED: {error}", failed=True)
                reset()

    def stop(self) -> None:
        """Begin no further one."""
        with self._mutex:
            self._left = iter(())

    def _next(self) -> T | None:
        with self._mutex:
            return next(self._left, None) if self.done < self._wanted else None

    def _note(self, trial: T, said: str, *, failed: bool = False) -> None:
        with self._mutex:
            if failed:
                self.failures.append(f"{trial}: {said}")
            if said:
                self.done += 1
                print(f"{self.done}/{self._wanted} {trial}: {said}", flush=True)


def side_by_side(trials: Trials[T], works: Sequence[tuple[Callable[[T], str], Callable[[], None]]]) -> None:
    """Work the trials off with each of `works`, an attempt and a reset, at the same time."""
    with ThreadPoolExecutor(len(works)) as pool:
        workers = [pool.submit(trials.work_off, attempt, reset) for attempt, reset in works]
        try:
            for worker in workers:
                worker.result()
        except KeyboardInterrupt:
            trials.stop()
            raise
