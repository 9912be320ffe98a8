"""Wait until a container is healthy, and stays so for its window."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from relman.hosts.health_probe import ProbeResult, probe_http, probe_tcp
from relman.model.container import Container
from relman.model.errors import Cancelled, EngineError, RelmanError, StepFailed, Symptoms
from relman.model.settings import Probe, RunSettings
from relman.model.state_dir.record import Deployed, Unit
from relman.rollout.fleet import Session
from relman.rollout.looking.askable import PROBE_TIMEOUT, asked_port, own_address, why_mute

_FIRST_PAUSE = 0.05
_LINE = 200
_LOG_LINES = 10


@dataclass(frozen=True)
class Watched:
    """A container whose health is waited for, by its id, and how it is run."""

    container: str
    settings: RunSettings


def watched_of(entry: Deployed, units: Iterable[Unit]) -> list[Watched]:
    """The containers of an entry, each with how it is run."""
    return [Watched(u.container, entry.settings.run_of(u.process)) for u in units]


@dataclass(frozen=True)
class Healthy:
    """The containers as last inspected, and when (monotonic seconds) the last one was first seen healthy."""

    containers: tuple[Container, ...]
    first_seen: float


def await_healthy(
    session: Session,
    watched: Sequence[Watched],
    cancel: threading.Event,
    *,
    window: float | None = None,
    unasked: bool = False,
) -> Healthy:
    """Wait until each container is healthy and has stayed so for its window without a restart; `unasked`: judge by what
    is seen of them alone. They are asked side by side, in one loop.

    Raises StepFailed when one exits, restarts, is unhealthy for good or not healthy in time, Cancelled on `cancel`.
    """
    waits = [_Wait(session, each, window, unasked=unasked) for each in watched]
    while True:
        session.connection.together(*(w.look for w in waits if not w.settled))
        if all(w.settled for w in waits):
            return Healthy(tuple(w.settled for w in waits if w.settled), max(w.first_seen or 0.0 for w in waits))
        if cancel.wait(min(w.pause() for w in waits if not w.settled)):
            raise Cancelled("cancelled while waiting for health")


class _Wait:
    """One container that is to become healthy, and to stay so."""

    def __init__(self, session: Session, watched: Watched, window: float | None, *, unasked: bool) -> None:
        self._session, self._watched, self._is_unasked = session, watched, unasked
        self._lasting = watched.settings.health.window if window is None else window
        self._deadline = time.monotonic() + watched.settings.health.timeout
        self._pause = _FIRST_PAUSE
        self.first_seen: float | None = None
        self.settled: Container | None = None

    def look(self) -> None:
        """Ask once; sets `settled` when the window is over. Raises StepFailed."""
        session, settings = self._session, self._watched.settings
        container = session.engine.inspect(self._watched.container)
        judged = _unasked(container, settings) if self._is_unasked else settings
        _require_running(session, container, judged.health.probe)
        answer = _probe(session, container, judged)
        now = time.monotonic()
        if answer.barred:
            raise _failed(session, container, "cannot be checked for its health", answer.detail)
        if not answer.ok and self.first_seen is not None:
            why = f"was healthy for {now - self.first_seen:.0f} s, and then was not"
            raise _failed(session, container, why, answer.detail)
        if answer.ok:
            self.first_seen = now if self.first_seen is None else self.first_seen
            if now - self.first_seen >= self._lasting:
                self.settled = _settled(session, container, judged.health.probe)
        elif now >= self._deadline:
            why = f"was not healthy within {settings.health.timeout:g} s"
            raise _failed(session, container, why, answer.detail)

    def pause(self) -> float:
        """Seconds until the next look."""
        interval = self._watched.settings.health.interval
        if self.first_seen is not None:
            return min(interval, max(0.0, self.first_seen + self._lasting - time.monotonic()))
        now, self._pause = self._pause, min(interval, self._pause * 1.5)
        return now


def require_healthy(session: Session, watched: Watched) -> None:
    """Raise StepFailed unless the container runs, was never restarted, and is healthy at this moment."""
    settings = watched.settings
    container = session.engine.inspect(watched.container)
    _require_running(session, container, settings.health.probe)
    answer = _probe(session, container, settings)
    if not answer.ok:
        raise _failed(session, container, "is no longer healthy", answer.detail)


def _unasked(container: Container, settings: RunSettings) -> RunSettings:
    """The settings with a check that needs only inspection."""
    probe = Probe.IMAGE if container.health else Probe.NONE
    return replace(settings, health=replace(settings.health, probe=probe))


def _settled(session: Session, container: Container, probe: Probe) -> Container:
    """The container after its check passed. Without an address of its own, another process may have answered: look
    again."""
    if any(container.addresses.values()):
        return container
    last = session.engine.inspect(container.id)
    _require_running(session, last, probe)
    return last


def _require_running(session: Session, container: Container, probe: Probe) -> None:
    if container.restart_count:
        raise _failed(session, container, f"was restarted {container.restart_count} times")
    if not container.running:
        ended = container.status == "exited"
        raise _failed(session, container, "has ended" if ended else f"is {container.status}")
    if probe is Probe.IMAGE and container.health == "unhealthy":
        raise _failed(session, container, "is unhealthy according to its HEALTHCHECK")


def _probe(session: Session, container: Container, settings: RunSettings) -> ProbeResult:
    health = settings.health
    if health.probe is Probe.NONE:
        return ProbeResult(True, "runs")
    if health.probe is Probe.IMAGE:
        return ProbeResult(container.health == "healthy", f"HEALTHCHECK says {container.health or 'nothing'}")
    connection = session.connection
    if health.probe is Probe.COMMAND:
        return connection.lasting(lambda: _by_command(session, container, health.command))
    address, port = own_address(container, settings), asked_port(settings)
    if not address or not port:
        where = f" in {settings.networks[0]}" if settings.networks else ""
        return ProbeResult(False, f"it has no address{where} that is known to be its own", barred=True)
    if health.probe is Probe.HTTP:
        return connection.lasting(lambda: probe_http(connection, address, health, port, PROBE_TIMEOUT))
    return connection.lasting(lambda: probe_tcp(connection, address, port, PROBE_TIMEOUT))


def _by_command(session: Session, container: Container, command: Sequence[str]) -> ProbeResult:
    what = "deploy.health.command"
    try:
        ran = session.engine.inside.run(container, command, PROBE_TIMEOUT)
    except EngineError as error:
        return ProbeResult(False, f"{what}: {error.what}")
    end = f"exit code {ran.code}"
    if ran.code is None:
        end = f"it did not end within {PROBE_TIMEOUT:g} s, and still runs in the container"
    said = next((line.strip() for line in reversed(ran.output.splitlines()) if line.strip()), "")
    return ProbeResult(ran.code == 0, f"{what}: {end}" + (f": {said[:_LINE]}" if said else ""))


def probe_now(session: Session, container: Container, settings: RunSettings) -> ProbeResult:
    """Check the health of a running container once; the detail of a healthy one is for people.

    If it cannot be checked, its HEALTHCHECK counts, if it has one.
    """
    if settings.health.probe is Probe.NONE:
        return ProbeResult(True, "running")
    answer = _probe(session, container, settings)
    if not answer.ok and (why := answer.detail if answer.barred else why_mute(session, settings)):
        seen = _probe(session, container, _unasked(container, settings))
        answer = seen if container.health else ProbeResult(False, why, barred=True)
    return ProbeResult(True, "healthy") if answer.ok else answer


def _failed(session: Session, container: Container, why: str, probe: str = "") -> StepFailed:
    seen = symptoms(session, container, probe)
    lines = list(_lines(container, seen))
    text = f"{why}: {probe}" if probe else why
    which = f"the new container of {container.title}" if container.title else "the new container"
    return StepFailed(f"{which} {text}", host=session.host.name, details=lines, symptoms=seen)


def symptoms(session: Session, container: Container, probe: str = "") -> Symptoms:
    """The evidence of a failed container: how it ended, the last result of `probe` or its HEALTHCHECK, its last
    lines."""
    try:
        log = session.engine.logs(container.id, tail=_LOG_LINES)
    except RelmanError as error:
        log = [f"its log could not be read: {error.what}"]
    return Symptoms(
        exit_code=None if container.running else container.exit_code,
        oom=container.oom_killed,
        probe=probe or next(iter(container.health_log[-1:]), ""),
        log=tuple(log),
    )


def _lines(container: Container, seen: Symptoms) -> Iterator[str]:
    yield ", ".join(filter(None, (f"container {container.name}: {container.status}", container.end)))
    if seen.oom:
        yield "killed: it used more memory than deploy.resources.memory allows (OOM)"
    if container.error:
        yield f"engine: {container.error}"
    yield from (f"health check: {line}" for line in container.health_log[-3:])
    yield from (f"log: {line}" for line in seen.log)
