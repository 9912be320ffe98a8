"""The ways to the hosts of one command: each jump host is connected once for all that are behind it, and few sign in at
one sshd at a time, which drops who comes in a crowd (MaxStartups of sshd_config(5))."""

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
_AT_ONCE = 6  # sshd begins to drop at 10 that have not signed in yet
_REMEMBERED = 2.0  # seconds: who asks for a jump host later than that has it tried again
_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class NotGreeted(Exception):
    """A server hung up before it said anything, as an sshd does that has too many at its door."""


@dataclass
class _Entry:
    """One chain of jump hosts; its mutex is held while it is opened."""

    mutex: threading.Lock = field(default_factory=threading.Lock)
    gateway: Gateway | None = None
    failure: RelmanError | None = None
    failed_at: float = 0.0


class _Door:
    """One sshd: few sign in at a time, and whom it dropped come again one by one, so that they do not drop each
    other."""

    def __init__(self) -> None:
        self.few = threading.BoundedSemaphore(_AT_ONCE)
        self.single = threading.Lock()
        self._shut_at = float("-inf")

    def again(self, work: Callable[[], T], patience: float) -> T:
        """Do `work` until it is let in, for `patience` seconds. Raises NotGreeted, also where somebody just waited so
        long in vain."""
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
    """The jump hosts of one command. `close` when no more hosts will be connected: each of them is closed with the
    last host behind it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._entries: dict[tuple[Hop, ...], _Entry] = {}
        self._doors: dict[Hashable, _Door] = {}
        self._closed = False

    def to(self, jumps: tuple[Hop, ...], opener: Opener) -> Gateway | None:
        """A share in the connection to the last of `jumps`, which is opened if it is not there; None without jumps.
        Whoever comes while it fails is told the same. Raises what `opener` raises, in the words of the jump host."""
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
            self._let_go(entry)
            try:
                via = self.to(jumps[:-1], opener)
                entry.gateway = Gateway(jumps[-1], opener(jumps[-1], via))
            except RelmanError as error:
                entry.failure, entry.failed_at = _named(error, jumps[-1]), time.monotonic()
                raise _again(entry.failure) from error
            entry.failure, opened = None, entry.gateway
            opened.share()
            if self._closed:
                self._let_go(entry)
            return opened

    def enter(self, hop: Hop, via: Gateway | None, patience: float, work: Callable[[], T]) -> T:
        """Do `work`, which signs in at `hop`, in turn with others who are at the same sshd, and again while that hangs
        up without a word, for `patience` seconds of its turn. Raises what it raises, Unreachable in place of
        NotGreeted."""
        door = self._door(hop, via)
        with suppress(NotGreeted), door.few:
            return work()
        try:
            return door.again(work, patience)
        except NotGreeted as error:
            raise _crowded(hop) from error

    def close(self) -> None:
        """No more hosts will be connected."""
        with self._mutex:
            self._closed, entries = True, list(self._entries.values())
        for entry in entries:
            if entry.mutex.acquire(blocking=False):  # else it is being opened, and let go of there
                self._let_go(entry)
                entry.mutex.release()

    def _let_go(self, entry: _Entry) -> None:
        if entry.gateway:
            entry.gateway.release()
        entry.gateway = None

    def _door(self, hop: Hop, via: Gateway | None) -> _Door:
        """Names of one address have one door; what a jump host calls by a name is told apart by that."""
        place: Hashable = (id(via), hop.address, hop.port) if via else _address(hop)
        with self._mutex:
            return self._doors.setdefault(place, _Door())


def _address(hop: Hop) -> Hashable:
    try:
        return socket.getaddrinfo(hop.address, hop.port, type=socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError):
        return (hop.address, hop.port)  # connecting says what is wrong with it


def _crowded(hop: Hop) -> Unreachable:
    return Unreachable(
        f"{hop.address}:{hop.port} hangs up before it greets",
        hint="too many may be signing in there at once: see MaxStartups in its sshd_config, and its log",
    )


def _named(error: RelmanError, hop: Hop) -> RelmanError:
    """The error with the jump host in its words; one of a jump host before it has them already."""
    what = error.what if error.host is not None else f"jump host {hop.address}: {error.what}"
    return type(error)(what, host="", hint=error.hint, details=error.details)


def _again(error: RelmanError) -> RelmanError:
    """The same error, for one more host to put its name to."""
    return type(error)(error.what, host=error.host, hint=error.hint, details=error.details)
