"""Asks for a report now and then: python3 -m shop.scheduler. There must be only one of them."""

import time
from configparser import ConfigParser

from shop.process import run

SCHEDULE = "/etc/shop/schedule.ini"


def asking(every):
    def ask(queue):
        queue.ask("report")
        time.sleep(every)

    return ask


if __name__ == "__main__":
    schedule = ConfigParser()
    schedule.read(SCHEDULE)
    run(asking(schedule.getint("report", "every", fallback=60)))
