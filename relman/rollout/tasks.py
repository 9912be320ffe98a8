"""One-off tasks: a container of the new image that runs a command to completion."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from relman.model.container import DEPLOYMENT, ENVIRONMENT, RELEASE, SERVICE, TASK, TASK_TIMEOUT, Container, RunSpec
from relman.model.errors import Cancelled, EngineError, Interrupted, NotFound, Symptoms, TaskFailed, Unreachable
from relman.model.files import blanked
from relman.model.formats.untrusted_json import LONGEST_WAIT
from relman.model.plan import Observed, Plan
from relman.model.settings import RunSettings
from relman.model.state_dir.record import Deployed
from relman.model.strategy import Task, When
from relman.rollout.conclusion import failed
from relman.rollout.file_sets import bring, equipped
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.one_off import one_off
from relman.rollout.progress import Work

_FIRST_PAUSE = 0.1
_PAUSE = 1.0
_LAST_LINES = 20


def run(work: Work, when: When) -> bool:
    """Run the tasks for `when`, in order, until one fails; returns whether all succeeded.

    Failures (TaskFailed, Cancelled, or what the engine raises) are noted in `work`, by host.
    """
    entries = {s.host: s.entry for s in work.plan.steps}
    due = [r for r in work.plan.tasks if r.task.when is when]
    for name, group in groupby(due, lambda r: r.task.name):
        by_host = {r.host: r.task for r in group}
        work.tasks.append(name)
        if any(not t.rollback_safe for t in by_host.values()):
            work.unsafe.append(name)

        def one(session: Session, by_host: dict[str, Task] = by_host) -> None:
            host = session.host.name
            _run(session, work, entries[host], by_host[host])

        errors = work.fleet.each(one, by_host).errors
        work.failures.update(errors)
        for host, error in errors.items():
            if isinstance(error, Unreachable):
                work.outcomes[host] = failed(host, error, f"the task {name} was running")
        if errors:
            return False
    return True


def _run(session: Session, work: Work, entry: Deployed, task: Task) -> None:
    host = session.host.name
    if work.cancel.is_set():
        raise Cancelled(f"cancelled before the task {task.name}", host=host)
    work.watcher.host(host, f"task {task.name}")
    bring(session, work.plan, entry)
    settings = equipped(session, work.plan, entry, entry.settings)
    container = session.engine.create(_spec(work.plan, entry, task, work.images[host], settings))
    try:
        session.engine.start(container)
        _await_end(session, work, task, container)
    finally:
        _remove(session, container)


def _spec(plan: Plan, entry: Deployed, task: Task, image: str, settings: RunSettings) -> RunSpec:
    labels = {
        **blanked(entry.settings.every_file),
        SERVICE: plan.service,
        ENVIRONMENT: plan.environment,
        DEPLOYMENT: plan.id,
        RELEASE: entry.release,
        TASK: task.name,
        TASK_TIMEOUT: f"{task.timeout:g}",
    }
    settings = one_off(settings, task.command)
    mark = "task-" if entry.settings.processes else ""  # a process may have the same name
    return RunSpec(f"{plan.service}-{plan.environment}-{plan.id}-{mark}{task.name}", image, settings, labels)


def _await_end(session: Session, work: Work, task: Task, container: str) -> None:
    host, deadline, pause = session.host.name, time.monotonic() + task.timeout, _FIRST_PAUSE
    output = _Output(session, container, work.watcher, f"{host}: {task.name}: ")
    while True:
        state = session.engine.inspect(container)
        output.tell()
        if not state.running:
            break
        if time.monotonic() > deadline:
            title = _title(work, task, f"did not end within {task.timeout:g} s")
            raise TaskFailed(title, host=host, details=output.end, symptoms=Symptoms(log=tuple(output.end)))
        if work.cancel.wait(pause):
            raise Cancelled(f"cancelled while the task {task.name} ran: it was stopped", host=host)
        pause = min(_PAUSE, pause * 1.5)
    if state.exit_code:
        oom = " (it used more memory than deploy.resources.memory allows)" if state.oom_killed else ""
        said = f"ended with exit code {state.exit_code}{oom}"
        seen = Symptoms(state.exit_code, state.oom_killed, log=tuple(output.end))
        raise TaskFailed(_title(work, task, said), host=host, details=output.end, symptoms=seen)


def _title(work: Work, task: Task, said: str) -> str:
    when = "no host was changed" if task.when is When.BEFORE else "all hosts were changed"
    return f"the task {task.name} of {work.plan.service} {work.plan.release} {said}; {when}"


class _Output:
    """A container's log, passed on line by line as it grows."""

    def __init__(self, session: Session, container: str, watcher: Watcher, before: str) -> None:
        self._session, self._container = session, container
        self._watcher, self._before = watcher, before
        self._last = ""
        self.end: list[str] = []

    def tell(self) -> None:
        """Pass on the new lines."""
        for stamp, line in self._new():
            self._watcher.say(f"{self._before}{line}")
            self.end = [*self.end, line][-_LAST_LINES:]
            self._last = stamp

    def _new(self) -> Iterator[tuple[str, str]]:
        for line in self._session.engine.logs_since(self._container, self._last):
            stamp, _, text = line.partition(" ")
            if stamp > self._last:
                yield stamp, text


def _remove(session: Session, container: str) -> None:
    with contextlib.suppress(NotFound):
        if session.engine.inspect(container).running:
            session.engine.stop(container, 10)
        session.engine.remove(container)


def clear(fleet: Fleet, seen: Sequence[Observed], place: str) -> None:
    """Remove the containers of tasks whose deployment died. Raises Interrupted if one still runs; `place` is for the
    hint."""
    by_host = {o.host: o.tasks for o in seen if o.tasks}

    def one(session: Session) -> None:
        for container in by_host[session.host.name]:
            if container.running:
                raise _still_running(session.host.name, container, place)
            session.engine.remove(container.id)

    fleet.each(one, by_host).all("removing old tasks")


def _still_running(host: str, container: Container, place: str) -> Interrupted:
    task, release = container.labels.get(TASK, ""), container.labels.get(RELEASE, "")
    return Interrupted(
        f"the task {task} of {release} still runs there, and its deployment was interrupted",
        host=host,
        hint=f"relman recover {place} waits for its end; docker logs {container.name}, there, shows it",
    )


def await_leftovers(fleet: Fleet, seen: Sequence[Observed], watcher: Watcher) -> None:
    """Wait for tasks whose deployment died, up to their timeout from now, and remove them."""
    by_host = {o.host: o.tasks for o in seen if o.tasks}

    def one(session: Session) -> None:
        for container in by_host[session.host.name]:
            _outlive(session, container, watcher)

    fleet.each(one, by_host).all("waiting for a task")


def _allowed(host: str, container: Container) -> float:
    """The timeout in a task's label, in seconds. Raises EngineError if it is invalid."""
    said = container.labels.get(TASK_TIMEOUT, "0")
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:  # NaN neither
        raise EngineError(f"the label {TASK_TIMEOUT} of {container.name} is not a number of seconds", host=host)
    return seconds


def _outlive(session: Session, container: Container, watcher: Watcher) -> None:
    host, name = session.host.name, container.labels.get(TASK, "")
    deadline = time.monotonic() + _allowed(host, container)
    if container.running:
        watcher.host(host, f"waiting for the task {name}")
    while (state := session.engine.inspect(container.id)).running and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    end = "was stopped" if state.running else f"ended with exit code {state.exit_code}"
    watcher.say(f"{host}: the task {name} of the interrupted deployment {end}")
    _remove(session, container.id)
