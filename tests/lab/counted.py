"""What is counted of requests, and whom they go to; for the users in tests/lab/load*.py."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

TIMEOUT = 30.0
PIECES = (b"a" * 6000, b"b" * 6000)
"""What is uploaded, with a pause in the middle."""
DIGEST = hashlib.sha256(b"".join(PIECES)).hexdigest()
MIDDLE = 0.05
IDLE = 0.5
"""How long a user keeps a connection without a request (seconds): shorter than any server here, as clients do that do
not want to meet its end, also on a machine that is busy."""
_GOOD = 200


@dataclass
class Counted:
    """What came of the requests: how many there were by the text of the answer and by their kind, how long each took
    that was to be answered at once (seconds), and each failure in words."""

    answers: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list, repr=False)
    _mutex: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.answers.total() + len(self.failures)

    def answered(self, text: str, kind: str = "", seconds: float | None = None) -> None:
        """One was answered well."""
        with self._mutex:
            self.answers[text] += 1
            self.kinds[kind] += 1
            if seconds is not None:
                self.seconds.append(seconds)

    def failed(self, why: str) -> None:
        """One was not."""
        with self._mutex:
            self.failures.append(why)

    def percentile(self, percent: float) -> float:
        """The time within which so many of those that were to be answered at once were, in milliseconds."""
        with self._mutex:
            ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0

    def __str__(self) -> str:
        p50, p99 = self.percentile(50), self.percentile(99)
        return f"{self.requests:,} requests, {len(self.failures)} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


@dataclass(frozen=True)
class Target:
    """Whom to ask for what, by which name; with the file of a `ca` by TLS, and by that name, too."""

    address: str
    port: int
    host: str
    path: str = "/"
    ca: Path | None = None

    @cached_property
    def _contexts(self) -> dict[str, ssl.SSLContext]:
        made = {protocol: ssl.create_default_context(cafile=self.ca) for protocol in ("http/1.1", "h2")}
        for protocol, context in made.items():
            context.set_alpn_protocols([protocol])
        return made

    def open(self, protocol: str = "http/1.1") -> socket.socket:
        """A connection for this protocol. Raises OSError."""
        made = socket.create_connection((self.address, self.port), TIMEOUT)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ca is None:
            return made
        try:
            return self._contexts[protocol].wrap_socket(made, server_hostname=self.host)
        except OSError:
            made.close()
            raise


def judge(counted: Counted, kind: str, status: int, text: str, seconds: float | None) -> None:
    """Count an answer: one with another status, or to an upload that did not arrive whole, is a failure."""
    if status != _GOOD:
        counted.failed(f"{kind}: {status} {text[:80]}")
        return
    version, _, digest = text.partition("\n")
    if "upload" in kind and digest != DIGEST:
        counted.failed(f"{kind}: another upload arrived: {text[:80]}")
        return
    counted.answered(version, kind, seconds)


@contextmanager
def running(*tasks: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Do all during the block, at whose end they are told to stop."""
    threads = [threading.Thread(target=task) for task in tasks]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        yield
