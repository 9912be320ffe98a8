"""The jump hosts of one command. Each is connected once for all hosts behind it, and few logins run at one sshd at a
time, because sshd drops connections beyond MaxStartups (sshd_config(5))."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from relman.hosts.ssh.links import Gateway, Link
from relman.model.errors import RelmanError, Unreachable
from relman.model.host import Hop

T = TypeVar("T")
Opener = Callable[[Hop, Gateway | None], Link]
_AT_ONCE = 6  # logins: by default sshd begins to drop at 10 (MaxStartups 10:30:100)
_REMEMBERED = 2.0  # seconds: a failed jump host is not tried again for that long
_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class NotGreeted(Exception):
    """A server closed the connection before its identification, as sshd does beyond MaxStartups."""


@dataclass
class _Entry:
    """One chain of jump hosts; its mutex is held while it is connected."""

    mutex: threading.Lock = field(default_factory=threading.Lock)
    gateway: Gateway | None = None
    failure: RelmanError | None = None
    failed_at: float = 0.0


class _Door:
    """One sshd: few logins at a time, and retries of dropped ones one by one, so that they do not displace each
    other."""

    def __init__(self) -> None:
        self.few = threading.BoundedSemaphore(_AT_ONCE)
        self.single = threading.Lock()
        self._shut_at = float("-inf")

    def again(self, work: Callable[[], T], patience: float) -> T:
        """Retry `work` until it is not dropped, for `patience` seconds. Raises NotGreeted, also if another just waited
        in vain."""
        with self.single:
            begin, pause = time.monotonic(), _PAUSE
            while True:
                if time.monotonic() - self._shut_at < _REMEMBERED:
                    raise NotGreeted
                try:
                    with self.few:
                        return work()
                except NotGreeted:
                    if time.monotonic() - begin + pause > patience:
                        self._shut_at = time.monotonic()
                        raise
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)


class Gateways:
    """The jump hosts of one command. After `close`, each is disconnected with the last host behind it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._entries: dict[tuple[Hop, ...], _Entry] = {}
        self._doors: dict[Hashable, _Door] = {}
        self._closed = False

    def to(self, jumps: tuple[Hop, ...], opener: Opener) -> Gateway | None:
        """A share in the connection to the last of `jumps`, opened if necessary; None without jumps.

        Concurrent callers get the same failure. Raises what `opener` raises, naming the jump host.
        """
        if not jumps:
            return None
        with self._mutex:
            if self._closed:
                raise Unreachable("the command is over")
            entry = self._entries.setdefault(jumps, _Entry())
        with entry.mutex:
            if entry.gateway and entry.gateway.alive:
                entry.gateway.share()
                return entry.gateway
            if entry.failure and time.monotonic() - entry.failed_at < _REMEMBERED:
                raise _again(entry.failure)
            self._release(entry)
            try:
                via = self.to(jumps[:-1], opener)
                entry.gateway = Gateway(jumps[-1], opener(jumps[-1], via))
            except RelmanError as error:
                entry.failure, entry.failed_at = _named(error, jumps[-1]), time.monotonic()
                raise _again(entry.failure) from error
            entry.failure, opened = None, entry.gateway
            opened.share()
            if self._closed:
                self._release(entry)
            return opened

    def enter(self, hop: Hop, via: Gateway | None, patience: float, work: Callable[[], T]) -> T:
        """Run `work`, which logs in at `hop`, and retry it while sshd drops it, for `patience` seconds.

        Raises what it raises, and Unreachable in place of NotGreeted.
        """
        door = self._door(hop, via)
        with suppress(NotGreeted), door.few:
            return work()
        try:
            return door.again(work, patience)
        except NotGreeted as error:
            raise _crowded(hop) from error

    def close(self) -> None:
        """Connect no more hosts."""
        with self._mutex:
            self._closed, entries = True, list(self._entries.values())
        for entry in entries:
            if entry.mutex.acquire(blocking=False):  # else it is being opened, and released there
                self._release(entry)
                entry.mutex.release()

    def _release(self, entry: _Entry) -> None:
        if entry.gateway:
            entry.gateway.release()
        entry.gateway = None

    def _door(self, hop: Hop, via: Gateway | None) -> _Door:
        """Names of one address share a door; names behind a jump host are only compared as text."""
        place: Hashable = (id(via), hop.address, hop.port) if via else _address(hop)
        with self._mutex:
            return self._doors.setdefault(place, _Door())


def _address(hop: Hop) -> Hashable:
    try:
        return socket.getaddrinfo(hop.address, hop.port, type=socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError):
        return (hop.address, hop.port)  # connecting will report the error


def _crowded(hop: Hop) -> Unreachable:
    return Unreachable(
        f"{hop.address}:{hop.port} closes the connection before its SSH identification",
        hint="too many logins may be in progress there: see MaxStartups in its sshd_config, and its log",
    )


def _named(error: RelmanError, hop: Hop) -> RelmanError:
    """The error naming the jump host, unless it names one further out already."""
    what = error.what if error.host is not None else f"jump host {hop.address}: {error.what}"
    return type(error)(what, host="", hint=error.hint, details=error.details)


def _again(error: RelmanError) -> RelmanError:
    """A copy of the error, because each host sets its own name in it."""
    return type(error)(error.what, host=error.host, hint=error.hint, details=error.details)
