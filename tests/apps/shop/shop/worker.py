"""Packs the orders and writes the reports: python3 -m shop.worker."""

import os

from shop.breakage import in_worker
from shop.process import run

VERSION = os.environ.get("VERSION", "dev")


def work(queue):
    if taken := queue.take(1):
        queue.finish(taken, VERSION)
        print(f"shop: done: {taken}")


if __name__ == "__main__":
    in_worker(os.environ.get("BREAK", ""))
    run(work)
