"""Asks for a report now and then: python3 -m shop.scheduler. There must be only one of them."""

import time

from shop.process import run

EVERY = 5  # seconds


def ask(queue):
    queue.ask("report")
    time.sleep(EVERY)


if __name__ == "__main__":
    run(ask)
