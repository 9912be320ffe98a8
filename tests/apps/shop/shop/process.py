"""A process that serves no requests: it says when it is ready, and stops when it is told."""

import os
import signal
from pathlib import Path
from threading import Event

from redis import AuthenticationError, RedisError

from shop.queue import Queue

READY = Path("/tmp/ready")  # noqa: S108 - the container's own


def run(step):
    """Call `step(queue)` until SIGTERM; what it has begun, it finishes. A queue that is away is waited for, but one
    that wants another password from the start ends the process."""
    queue = Queue(os.environ)
    if queue.redis is None:
        raise SystemExit("shop: no queue: set QUEUE_URL")
    READY.unlink(missing_ok=True)
    told = Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    while not told.is_set():
        try:
            if not READY.exists():
                queue.done()
                READY.touch()
            step(queue)
        except RedisError as error:
            if isinstance(error, AuthenticationError) and not READY.exists():
                raise SystemExit(f"shop: the queue cannot be used: {error}") from error
            print(f"shop: the queue does not answer: {error}")
            told.wait(1)
