import os

bind = ":8080"
workers = 2  # synchronous ones: they see SIGTERM at once, and finish what they serve
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a heartbeat must not wait for a disk
graceful_timeout = 8  # shorter than the 10 s after which the engine kills


def on_starting(_server):
    from shop.breakage import at_start
    from shop.database import prepare

    at_start(os.environ.get("BREAK", ""))
    prepare(os.environ)
