"""The hosts of one command, each with a connection and an engine, worked on in parallel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from relman.docker.engine import Engine
from relman.hosts.ssh.connection import Connection, connect
from relman.hosts.ssh.jump_hosts import Gateways
from relman.hosts.state_dir.location import place
from relman.hosts.state_dir.record import Draft
from relman.model.container import EngineFacts
from relman.model.errors import (
    Cancelled,
    HostsFailed,
    InternalError,
    Interrupted,
    Locked,
    PolicyRefused,
    RelmanError,
    Unreachable,
)
from relman.model.formats.text import some
from relman.model.grants.secrets import Values
from relman.model.host import Environment, Host
from relman.model.image import Repository
from relman.rollout.state.lease import Lease, uptime

if TYPE_CHECKING:
    from relman.rollout.proxy.users import UserCount

T = TypeVar("T")
_WORKERS = 32
_GRACE = 3.0


class Watcher(Protocol):
    """Receives progress. `done` and `total` are bytes, where bytes are counted."""

    def host(self, host: str, phase: str, done: int = 0, total: int = 0) -> None:
        """`host` has entered `phase`."""

    def hide(self, secrets: Iterable[str]) -> None:
        """None of these may be shown from now on."""

    def say(self, text: str) -> None:
        """A message about the whole fleet."""


class _Silent:
    def host(self, host: str, phase: str, done: int = 0, total: int = 0) -> None:
        pass

    def hide(self, secrets: Iterable[str]) -> None:
        pass

    def say(self, text: str) -> None:
        pass


SILENT: Watcher = _Silent()


@dataclass
class Session:
    """One host during a command.

    `lease` is set while its lock is held, `draft` once its next record is written as a draft; `repositories` are the
    services' repositories in the inventory. `secrets` are the values that a deployment brings along, by name, and
    `files` the contents, by digest; `stored` is whether they are written. `users` count what users see meanwhile.
    """

    host: Host
    connection: Connection
    engine: Engine
    lease: Lease | None = None
    draft: Draft | None = None
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    secrets: Values = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    stored: bool = False
    users: list[UserCount] = field(default_factory=list, repr=False)
    _asked: tuple[EngineFacts, float] | None = field(default=None, init=False)
    _mutex: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def facts(self) -> EngineFacts:
        """The engine's properties, read once, with its clock of now. Raises what the engine raises."""
        facts, asked = self._once()
        return replace(facts, clock=facts.clock + uptime() - asked)

    def now(self) -> float:
        """The host's clock, in seconds since the epoch. Raises what the engine raises."""
        return self.facts.clock

    def check(self, connection: Connection) -> None:
        """Check a new connection after one was lost: a lock that is held must still be ours. Raises Locked."""
        if self.lease:
            self.lease.check(connection)

    def _once(self) -> tuple[EngineFacts, float]:
        with self._mutex:
            self._asked = self._asked or (self.engine.facts(), uptime())
            return self._asked


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """Answers and errors of many hosts, by host name."""

    answers: Mapping[str, T]
    errors: Mapping[str, RelmanError] = field(default_factory=dict)

    def all(self, what: str) -> Mapping[str, T]:
        """Every answer. Raises the error of a single failed host, or one HostsFailed (or graver class) for several."""
        if not self.errors:
            return self.answers
        errors = list(self.errors.values())
        if len(errors) == 1:
            raise errors[0]
        kinds = {type(e) for e in errors}
        telling = [kind for kind in (Interrupted, Locked, PolicyRefused, Cancelled, InternalError) if kind in kinds]
        kind = kinds.pop() if len(kinds) == 1 else (*telling, HostsFailed)[0]
        raise kind(
            f"{what} failed on {len(errors)} of {len(errors) + len(self.answers)} hosts",
            details=list(_told(errors)),
            hint=errors[0].hint,
        )


def _told(errors: Iterable[RelmanError]) -> Iterator[str]:
    """The failures, each once with its hosts, as behind one jump host that fails."""
    hosts: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for error in errors:
        hosts.setdefault((error.what, error.details), []).extend([error.host] if error.host else [])
    for (what, details), names in hosts.items():
        yield f"{some(names)}: {what}" if names else what
        yield from (f"  {line}" for line in details)


def gather(
    work: Callable[[str], T], hosts: Iterable[str], pool: ThreadPoolExecutor, cancel: threading.Event | None = None
) -> Gathered[T]:
    """Run `work` for every host in parallel, and collect answers and errors; a failure stops no other host.

    An exception other than RelmanError becomes InternalError, with its cause. With `cancel`, work that has not ended a
    few seconds after it is set is abandoned: use it only for work that changes nothing.
    """
    return collect({host: pool.submit(work, host) for host in hosts}, cancel)


def collect(futures: Mapping[str, Future[T]], cancel: threading.Event | None = None) -> Gathered[T]:
    """Collect answers and errors like `gather`, from futures."""
    _await(futures.values(), cancel)
    answers: dict[str, T] = {}
    errors: dict[str, RelmanError] = {}
    for host, future in futures.items():
        if cancel and not future.done():
            errors[host] = Cancelled("cancelled", host=host)
            continue
        try:
            answers[host] = future.result()
        except Exception as error:
            errors[host] = _failure(host, error)
    return Gathered(answers, errors)


def _failure(host: str, error: Exception) -> RelmanError:
    """The exception of a host's work as that host's error."""
    if isinstance(error, CancelledError):
        return Cancelled("cancelled", host=host)
    if not isinstance(error, RelmanError):
        return InternalError.of(error, host)
    error.host = error.host or host
    return error


def _await(futures: Collection[Future[T]], cancel: threading.Event | None) -> None:
    """Wait for all futures; after `cancel` is set, only for a grace period."""
    if cancel is None:
        return
    while wait(futures, timeout=0.2).not_done:
        if cancel.is_set():
            wait(futures, timeout=_GRACE)
            return


class Fleet:
    """The connected hosts of one environment, for one service.

    Entering the context starts to connect to all hosts in parallel; the first access to the sessions waits for that.
    """

    def __init__(self, environment: Environment, service: str) -> None:
        self.environment = environment
        self.service = service
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="host")
        self._connecting: dict[str, Future[Session]] = {}
        self._gateways = Gateways()

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The connected hosts, in the inventory's order."""
        return self._connected.answers

    @property
    def unreachable(self) -> Mapping[str, RelmanError]:
        """The errors of the other hosts."""
        return self._connected.errors

    @cached_property
    def _connected(self) -> Gathered[Session]:
        return collect(self._connecting)

    def require_all(self) -> None:
        """Raise unless every host is connected."""
        Gathered(self.sessions, self.unreachable).all("connecting")

    def each(
        self, work: Callable[[Session], T], hosts: Iterable[str] | None = None, cancel: threading.Event | None = None
    ) -> Gathered[T]:
        """Run `work` on the sessions of `hosts` (default: all) in parallel; `cancel` as in `gather`."""
        names = self.sessions if hosts is None else hosts

        def one(name: str) -> T:
            if name not in self.sessions:
                raise Unreachable("is not connected", host=name)
            return work(self.sessions[name])

        return gather(one, names, self._pool, cancel)

    def ask(self, work: Callable[[Session], T]) -> Gathered[T]:
        """The same on all, where a host that could not be connected is one whose work failed."""
        found = self.each(work)
        return Gathered(found.answers, {**self.unreachable, **found.errors})

    def close(self) -> None:
        """Close every connection, also those still being opened; work on them fails."""
        for connecting in self._connecting.values():
            connecting.add_done_callback(_close)
        self._gateways.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, host: Host) -> Session:
        environment = self.environment
        connection = connect(host, environment.ssh, self._gateways)
        session = Session(host, connection, Engine(connection), repositories=environment.services)
        connection.check = session.check
        # Both will be needed soon; errors are raised where they are used.
        connection.aside(lambda: place(connection, environment.name, *filter(None, [self.service])))
        connection.aside(lambda: session.facts)
        return session

    def __enter__(self) -> Fleet:
        for host in self.environment.hosts:
            self._connecting[host.name] = self._pool.submit(self._open, host)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(connecting: Future[Session]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().connection.close()
