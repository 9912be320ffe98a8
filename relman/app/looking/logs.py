"""The logs of a service on all hosts, merged by time, and followed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from relman.app.context import Context
from relman.app.environments import Request, open_environment, service_of, unknown_service
from relman.model.container import Container
from relman.model.errors import InternalError, RelmanError, Unknown
from relman.model.host import Environment
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.log_tail import tail as tail_of
from relman.rollout.looking.observe import observe


@dataclass(frozen=True)
class LogLine:
    """A line of a host's log; `at` is the Docker Engine's timestamp: RFC 3339 with up to nine decimals."""

    host: str
    at: str
    text: str


@dataclass
class Logs:
    """The logs of a service on connected hosts; `unread` has the error for each host whose logs cannot be read."""

    context: Context
    fleet: Fleet
    service: str
    tail: int
    unread: dict[str, RelmanError] = field(default_factory=dict)
    _begun: dict[str, tuple[Container | None, list[str] | None]] = field(default_factory=dict)

    def latest(self) -> Iterator[LogLine]:
        """The last `tail` lines of every host, merged by time; then warn of hosts whose lines are not those of a
        serving container.

        Raises UsageError if no host knows the service.
        """
        found = self.fleet.each(self._speaking)
        speaking = {host: container for host, container in found.answers.items() if container}
        lines = self.fleet.each(
            lambda session: session.engine.logs(speaking[session.host.name].id, self.tail, timestamps=True), speaking
        )
        merged = sorted((line, host) for host, read in lines.answers.items() for line in read)
        yield from (_line(host, line) for line, host in merged)
        self.unread = {**self.fleet.unreachable, **found.errors, **lines.errors}
        environment = self.fleet.environment
        if not speaking and not self.unread and self.service not in environment.services:
            raise unknown_service(environment, self.service)
        self._remark(found.answers)
        if not merged and speaking and self.tail:
            self.context.events.note(f"{self.service} has logged nothing yet")
        self._begun = {
            host: (container, lines.answers.get(host) if self.tail else None)
            for host, container in found.answers.items()
            if container is None or host in lines.answers
        }

    def follow(self) -> Iterator[LogLine]:
        """New lines after those of `latest`, also from containers of later deployments, until no host is left. Warns of
        each lost host at once."""
        found: queue.SimpleQueue[LogLine | tuple[str, RelmanError]] = queue.SimpleQueue()
        for host in self._begun:
            threading.Thread(target=self._read, args=(self.fleet.sessions[host], found), daemon=True).start()
        left = len(self._begun)
        while left:
            said = found.get()
            if isinstance(said, LogLine):
                yield said
                continue
            host, error = said
            self.unread[host] = error
            self.context.events.warn(f"{host}: {error.what}; no more lines follow")
            left -= 1

    def require_all(self) -> None:
        """Raise Unknown unless the logs of every host were read."""
        if self.unread:
            raise Unknown(f"no logs from {', '.join(_in_order(self.fleet.environment, self.unread))}")

    def _speaking(self, session: Session) -> Container | None:
        """The serving container; else the one that should serve, or the newest."""
        seen = observe(session, self.fleet.environment.name, self.service)
        should = seen.container_of(seen.record.current) if seen.record.current else None
        return seen.serving or should or next(iter(seen.containers), None)

    def _remark(self, speaking: Mapping[str, Container | None]) -> None:
        """Warn of hosts whose lines are not those of a serving container."""
        environment, warn = self.fleet.environment, self.context.events.warn
        for host in _in_order(environment, speaking):
            container = speaking[host]
            if container is None:
                warn(f"{host}: there is no container of {self.service}")
            elif not container.running:
                ended = f"exit code {container.exit_code}" + (", out of memory" if container.oom_killed else "")
                warn(f"{host}: nothing serves; {container.name} is {container.status} ({ended})")
        for host in _in_order(environment, self.unread):
            warn(f"{host}: {self.unread[host].what}")

    def _read(self, session: Session, found: queue.SimpleQueue[LogLine | tuple[str, RelmanError]]) -> None:
        host, environment = session.host.name, self.fleet.environment.name
        container, shown = self._begun[host]
        try:
            for line in tail_of(session, environment, self.service, container, shown, self.context.events.note):
                found.put(_line(host, line))
        except RelmanError as error:
            found.put((host, error))
        except Exception as error:
            found.put((host, InternalError.of(error, host)))


@contextmanager
def open_logs(context: Context, request: Request, tail: int) -> Iterator[Logs]:
    """The logs of a service, with the hosts connected; `tail` is the number of lines for each host."""
    chosen = open_environment(context, request)
    name = service_of(chosen, request.service)
    with Fleet(chosen, name) as fleet:
        yield Logs(context, fleet, name, tail)


def _line(host: str, line: str) -> LogLine:
    at, _, text = line.partition(" ")
    return LogLine(host, at, text)


def _in_order(chosen: Environment, names: Collection[str]) -> list[str]:
    return [host.name for host in chosen.hosts if host.name in names]
