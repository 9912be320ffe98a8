"""Judge a release by what its first users saw of it (check.proxy)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from relman.model.errors import Cancelled, CheckFailed
from relman.model.proxy import Users, in_words
from relman.model.strategy import ProxyCheck
from relman.rollout.proxy.counting import Counting

_PAUSE = 1.0


def ask(check: ProxyCheck, count: Counting, timeout: float, cancel: threading.Event) -> Users:
    """What users saw, once they made enough requests or `timeout` seconds have passed, if it is as the check wants it.
    Raises CheckFailed or Cancelled."""
    end = time.monotonic() + timeout
    while True:
        seen = count.read()
        missing = seen is not None and not seen.uncounted and seen.traffic.requests < check.minimum_requests
        if not missing or time.monotonic() >= end:
            break
        if cancel.wait(_PAUSE):
            raise Cancelled("cancelled while its users were counted")
    if seen is None:
        raise CheckFailed("what users saw could not be counted: it is behind no proxy")
    if found := list(faults(check, seen)):
        raise CheckFailed(f"its users: {'; '.join(found)}")
    return seen


def faults(check: ProxyCheck, seen: Users) -> Iterator[str]:
    """What is not as the check wants it. Nothing is taken for good that is not known. Pure."""
    traffic = seen.traffic
    if seen.uncounted:
        yield f"not counted on {', '.join(seen.uncounted)}: others changed its proxy, or it does not answer"
        return
    if traffic.requests < check.minimum_requests:
        yield f"{traffic.text}: too few to judge by, minimum_requests is {check.minimum_requests:,}"
        return
    if check.errors_below is not None and traffic.errors >= check.errors_below:
        most = percent(check.errors_below)
        yield f"{traffic.failed:,} of {traffic.requests:,} requests failed, errors_below is {most}"
    p99 = traffic.p99
    if check.p99_below is not None and (p99 is None or p99 > check.p99_below):
        yield f"{traffic.text}: p99_below is {in_words(check.p99_below * 1000)}"


def wanted(check: ProxyCheck) -> str:
    """The check in words, for people."""
    parts = [
        *([f"errors below {percent(check.errors_below)}"] if check.errors_below is not None else []),
        *([f"p99 below {in_words(check.p99_below * 1000)}"] if check.p99_below is not None else []),
    ]
    return f"{' and '.join(parts)} of at least {check.minimum_requests:,} requests of users"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{share * 100:g}%"
