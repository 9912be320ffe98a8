"""The logs of a service on all hosts, merged by time, and followed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from relman.app.context import Context
from relman.app.environments import Request, one_or_all, open_environment, service_of, unknown_service
from relman.app.looking.log_selection import LogSelection, Span
from relman.app.looking.proxy_lines import requests_to
from relman.model.container import ENVIRONMENT, SERVICE, Container
from relman.model.errors import InternalError, RelmanError, Unknown, UsageError
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.condition import last_ones
from relman.rollout.looking.log_tail import tail as tail_of
from relman.rollout.looking.observe import observe
from relman.rollout.proxy.container import LABEL, LABELLED
from relman.rollout.proxy.load import proxies

_AMONG, _MOST = 10, 10_000


@dataclass(frozen=True)
class LogLine:
    """A line of a host's log; `at` is the Docker Engine's timestamp: RFC 3339 with up to nine decimals. `process`
    names the container among others of the service, as `worker.2`, "" where it names no processes; `service` is said
    where several were asked for."""

    host: str
    at: str
    text: str
    process: str = ""
    service: str = ""


@dataclass(frozen=True)
class _Source:
    """A container that speaks, or, without one, a host where none is; `shown` are its last lines, None if nobody asked
    for any."""

    host: str
    service: str
    container: Container | None
    shown: list[str] | None = None

    @property
    def title(self) -> str:
        return self.container.title if self.container else ""

    def line(self, text: str, *, several: bool) -> LogLine:
        at, _, said = text.partition(" ")
        return LogLine(self.host, at, said, self.title, self.service if several else "")


@dataclass
class Logs:
    """The logs of services on connected hosts, or what each host's `proxy` writes of the requests to them; `unread` has
    the error for each host whose logs cannot be read."""

    context: Context
    fleet: Fleet
    services: Sequence[str]
    tail: int
    process: str | None = None
    selection: LogSelection = field(default_factory=LogSelection)
    proxy: bool = False
    unread: dict[str, RelmanError] = field(default_factory=dict)
    _begun: list[_Source] = field(default_factory=list)

    def latest(self) -> Iterator[LogLine]:
        """The last `tail` of the selected lines of every host, merged by time; then warn of hosts whose lines are not
        those of a serving container.

        Raises UsageError if no host knows the service, if it is only one.
        """
        found = self.fleet.ask(self._speaking)
        lines = self.fleet.each(lambda s: self._latest(s, found.answers[s.host.name]), found.answers)
        sources = [source for host in lines.answers.values() for source in host]
        merged = sorted((line, i) for i, source in enumerate(sources) for line in source.shown or ())
        yield from (sources[i].line(line, several=self._several) for line, i in merged)
        self.unread = {**found.errors, **lines.errors}
        environment, speaking = self.fleet.environment, [s for s in sources if s.container]
        names = ", ".join(self.services)
        if not speaking and not self.unread and not set(self.services) <= environment.services.keys():
            raise unknown_service(environment, names)
        if self.process and not speaking and not self.unread:
            raise UsageError(f"no host of {environment.name} has a container of {names}'s process {self.process}")
        self._remark(sources)
        if not merged and speaking and self.tail:
            nothing = "no line of its log is selected" if self.selection else "it has logged nothing yet"
            self.context.events.note(f"{names}: {nothing}")
        self._begun = [s if self.tail else replace(s, shown=None) for s in sources]

    def follow(self) -> Iterator[LogLine]:
        """New lines after those of `latest`, also from containers of later deployments, until no host is left. Warns of
        each lost host at once."""
        found: queue.SimpleQueue[LogLine | tuple[str, RelmanError]] = queue.SimpleQueue()
        for source in self._begun:
            threading.Thread(target=self._follow, args=(source, found), daemon=True).start()
        left = len(self._begun)
        while left:
            said = found.get()
            if isinstance(said, LogLine):
                yield said
                continue
            host, error = said
            if host not in self.unread:
                self.context.events.warn(f"{host}: {error.what}; no more lines follow")
            self.unread[host] = error
            left -= 1

    def require_all(self) -> None:
        """Raise Unknown unless the logs of every host were read."""
        if self.unread:
            raise Unknown(f"no logs from {', '.join(_in_order(self.fleet.environment, self.unread))}")

    @property
    def _several(self) -> bool:
        return len(self.services) > 1

    def _speaking(self, session: Session) -> Sequence[_Source]:
        if self.proxy:
            host, running = session.host.name, [c for c in proxies(session) if c.running]
            return [_Source(host, ", ".join(self.services), c) for c in running or (None,)]
        return [source for service in self.services for source in self._of(session, service)]

    def _of(self, session: Session, service: str) -> Sequence[_Source]:
        """The serving containers; else those that should serve, or the newest."""
        seen, host = observe(session, self.fleet.environment.name, service), session.host.name
        found = last_ones(seen) or seen.containers[:1]
        chosen = [_Source(host, service, c) for c in found if self.process in (None, c.process)]
        return chosen or ([] if self.process else [_Source(host, service, None)])

    def _latest(self, session: Session, sources: Sequence[_Source]) -> Sequence[_Source]:
        read = session.connection.together(*(partial(self._read, session, s.container) for s in sources if s.container))
        lines = iter(read)
        return [replace(s, shown=next(lines)) if s.container else s for s in sources]

    def _read(self, session: Session, container: Container) -> Sequence[str]:
        if not self.tail or not (self.selection or self.proxy):
            return session.engine.logs(container.id, self.tail, timestamps=True)
        span = self.selection.on(session.now)
        takes = self._takes(span)
        if not self.selection:  # then the last lines are most likely among the last ones of all services
            among = session.engine.logs(container.id, min(_AMONG * self.tail, _MOST), timestamps=True)
            recent = [line for line in among if takes(line)]
            if len(recent) >= self.tail:
                return recent[-self.tail :]
        return session.engine.logs_within(container.id, span.since, span.until, takes)[-self.tail :]

    def _takes(self, span: Span) -> Callable[[str], bool]:
        own = requests_to(self.fleet.environment.name, self.services) if self.proxy else None
        return lambda line: span.takes(line) and (own is None or own(line))

    def _remark(self, sources: Sequence[_Source]) -> None:
        """Warn of hosts whose lines are not those of a serving container."""
        environment, warn = self.fleet.environment, self.context.events.warn
        for source in sources:
            host, container = source.host, source.container
            if container is None:
                if self.proxy:
                    warn(f"{host}: no proxy runs there")
                elif not self._several:  # of several each need not be everywhere
                    warn(f"{host}: there is no container of {source.service}")
            elif not container.running:
                ended = f"exit code {container.exit_code}" + (", out of memory" if container.oom_killed else "")
                dark = f"{source.title} does not run" if source.title else "nothing serves"
                warn(f"{host}: {dark}; {container.name} is {container.status} ({ended})")
        for host in _in_order(environment, self.unread):
            warn(f"{host}: {self.unread[host].what}")

    def _follow(self, source: _Source, found: queue.SimpleQueue[LogLine | tuple[str, RelmanError]]) -> None:
        session, environment = self.fleet.sessions[source.host], self.fleet.environment.name
        container, slot = source.container, source.container.slot if source.container else None
        labels = {LABEL: LABELLED} if self.proxy else {SERVICE: source.service, ENVIRONMENT: environment}
        follow = partial(tail_of, session, labels, slot, container, source.shown)
        try:
            takes = self._takes(self.selection.on(session.now))
            for line in filter(takes, follow(self.context.events.note)):
                found.put(source.line(line, several=self._several))
        except RelmanError as error:
            found.put((source.host, error))
        except Exception as error:
            found.put((source.host, InternalError.of(error, source.host)))


@contextmanager
def open_logs(
    context: Context,
    request: Request,
    tail: int,
    process: str | None = None,
    selection: LogSelection | None = None,
    *,
    proxy: bool = False,
) -> Iterator[Logs]:
    """The logs of a service, of one `process` of it, or of ALL services of the environment, or what the `proxy` writes
    of the requests to them, with the hosts connected; `tail` are lines of each container, of those that are selected.
    Raises UsageError."""
    selected = (selection or LogSelection()).checked()
    chosen = open_environment(context, request)
    every = request.service is not None and one_or_all(chosen.services, request.service) is None
    names = sorted(chosen.services) if every else [service_of(chosen, request.service)]
    with Fleet(chosen, "" if every else names[0]) as fleet:
        yield Logs(context, fleet, names, tail, process, selected, proxy)


def _in_order(chosen: Environment, names: Collection[str]) -> list[str]:
    return [host.name for host in chosen.hosts if host.name in names]
