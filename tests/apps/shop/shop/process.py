"""A process that serves no requests: it says when it is ready, and stops when it is told."""

import os
import signal
from pathlib import Path
from threading import Event

from redis import RedisError

from shop.queue import Queue


def run(step):
    """Call `step(queue)` until SIGTERM; what it has begun, it finishes. A queue that is away for a while is waited for,
    but one that cannot be used at the start ends the process."""
    queue = Queue(os.environ)
    if queue.redis is None:
        raise SystemExit("shop: no queue: set QUEUE_URL")
    try:
        queue.done()
    except RedisError as error:
        raise SystemExit(f"shop: the queue cannot be used: {error}") from error
    Path("/tmp/ready").touch()  # noqa: S108 - the container's own
    told = Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    while not told.is_set():
        try:
            step(queue)
        except RedisError as error:
            print(f"shop: the queue does not answer: {error}")
            told.wait(1)
