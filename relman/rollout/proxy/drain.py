"""Wait until old workers of a proxy have no request with containers that are about to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from relman.hosts.haproxy import Processes

_PAUSE = 0.2


class Workers(Protocol):
    """What is asked of a proxy's master."""

    def processes(self) -> Processes | None:
        """As relman.hosts.haproxy.MasterCli has it."""

    def sessions(self, worker: int, backend: str) -> Mapping[str, int] | None:
        """As relman.hosts.haproxy.MasterCli has it."""


def drain(
    workers: Workers,
    backend: str,
    staying: Collection[str],
    *,
    idle: float,
    limit: float,
    meanwhile: Callable[[], object],
    require: Callable[[], object],
) -> None:
    """Wait until no old worker has a request with a server of the backend that does not stay; at most `limit` seconds.
    `meanwhile` is called again and again, and `require` where there is no answer: it raises what ends the wait.

    The next request on an idle connection, or the first one on a new one, goes to a server of its worker: until the
    connection would be closed, after `idle` seconds, that no request is seen is no sign, unless the worker knows only
    servers that stay.
    """
    begin, done = time.monotonic(), set[int]()
    while (waited := time.monotonic() - begin) < limit:
        meanwhile()
        if found := workers.processes():
            idle_counts = waited >= idle
            done |= {
                each for each in found.old - done if _is_done(workers.sessions(each, backend), staying, idle_counts)
            }
            if found.old <= done:
                return
        else:
            require()
        time.sleep(_PAUSE)


def _is_done(sessions: Mapping[str, int] | None, staying: Collection[str], idle_counts: bool) -> bool:
    leaving = [count for server, count in (sessions or {}).items() if server not in staying]
    return sessions is not None and (not any(leaving) if idle_counts else not leaving)
