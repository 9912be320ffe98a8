"""Requests without a pause, and a count of those that failed: what users see of a change."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

_TIMEOUT = 30.0
_PAUSE = 0.005
_GOOD = 200


@dataclass
class Counted:
    """What came of the requests: how many there were, by the text of the answer, and each failure in words."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _mutex: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.answers.total() + len(self.failures)

    def answered(self, text: str) -> None:
        """One was answered well."""
        with self._mutex:
            self.answers[text] += 1

    def failed(self, why: str) -> None:
        """One was not."""
        with self._mutex:
            self.failures.append(why)


@dataclass(frozen=True)
class Target:
    """Whom to ask for what, by which name."""

    address: str
    port: int
    host: str
    path: str = "/"


@contextmanager
def load(target: Target, *, new: int = 2, kept: int = 2) -> Iterator[Counted]:
    """Ask during the block: `new` users with a connection for each request, `kept` ones with one that they keep as long
    as it is not said to close. A request is never made twice."""
    counted, stop = Counted(), threading.Event()
    users = [threading.Thread(target=_ask, args=(target, counted, stop, at < kept)) for at in range(new + kept)]
    for user in users:
        user.start()
    try:
        yield counted
    finally:
        stop.set()
        for user in users:
            user.join()


def _ask(target: Target, counted: Counted, stop: threading.Event, keep: bool) -> None:
    connection = _connection(target)
    while not stop.wait(_PAUSE):
        try:
            connection.request("GET", target.path, headers={"Host": target.host})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            counted.failed(f"{type(error).__name__}: {error}")
            connection.close()
            connection = _connection(target)
            continue
        if answer.status == _GOOD:
            counted.answered(text)
        else:
            counted.failed(f"{answer.status} {text[:80]}")
        if not keep or answer.will_close:
            connection.close()
            connection = _connection(target)
    with closing(connection):
        pass


def _connection(target: Target) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(target.address, target.port, timeout=_TIMEOUT)
