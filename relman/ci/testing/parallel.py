"""Run tasks in parallel, respecting dependencies, and cancel them together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import TypeVar

V = TypeVar("V")
Task = Callable[[threading.Event], V]

# Seconds that threads get to finish a call to the engine; then the process ends without them.
_PATIENCE = 5.0


def side_by_side(tasks: Mapping[str, Task[V]], after: Mapping[str, Collection[str]] | None = None) -> dict[str, V]:
    """Run every task in its own thread, after those in `after`, which must be acyclic; returns their results.

    Each task gets an event that is set when all are cancelled: at the first error, which is raised when the others have
    ended, and at a KeyboardInterrupt.
    """
    order = TopologicalSorter({name: (after or {}).get(name, ()) for name in tasks})
    order.prepare()
    ended: queue.SimpleQueue[tuple[str, Future[V]]] = queue.SimpleQueue()
    stop, threads, results = threading.Event(), list[threading.Thread](), dict[str, V]()
    try:
        while order.is_active():
            for name in order.get_ready():
                threads.append(threading.Thread(target=_do, args=(name, tasks[name], stop, ended), daemon=True))
                threads[-1].start()
            name, future = _next(ended)
            results[name] = future.result()
            order.done(name)
    except BaseException:
        stop.set()
        _join(threads)
        raise
    return {name: results[name] for name in tasks}


def _next(ended: queue.SimpleQueue[tuple[str, Future[V]]]) -> tuple[str, Future[V]]:
    """Wait for the next task to end, in short waits, because a signal received by another thread does not interrupt a
    long one."""
    while True:
        with suppress(queue.Empty):
            return ended.get(timeout=_PATIENCE / 10)


def _do(name: str, task: Task[V], stop: threading.Event, ended: queue.SimpleQueue[tuple[str, Future[V]]]) -> None:
    future: Future[V] = Future()
    try:
        future.set_result(task(stop))
    except BaseException as error:  # raised again in the waiting thread
        future.set_exception(error)
    ended.put((name, future))


def _join(threads: list[threading.Thread]) -> None:
    end = time.monotonic() + _PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
