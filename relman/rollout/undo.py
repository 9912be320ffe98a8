"""Restore the old container in place of the new one, from any point of a step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from relman.model.container import Container
from relman.model.errors import EngineError, NotFound, PreflightFailed, ProxyDown, RelmanError, StepFailed, Unreachable
from relman.model.plan import Outcome, Result
from relman.model.settings import RunSettings
from relman.model.state_dir.lock import Intent, Phase
from relman.model.state_dir.record import Deployed
from relman.rollout.busy_ports import held_port
from relman.rollout.fleet import Session
from relman.rollout.health import Watched, await_healthy, symptoms
from relman.rollout.proxy.switch import let_serve_again

_RETURN_WAIT = 5.0
_START_WAIT = 3.0
_PAUSE = 0.3
_ENGINE_WAIT = 20.0
_ENGINE_WAIT_CANCELLED = 3.0


class _Stuck(Exception):
    """An old container does not start."""

    def __init__(self, old: Container, error: EngineError) -> None:
        super().__init__(error.what)
        self.old = old
        self.error = error


@dataclass(frozen=True)
class _Found:
    """What is there of both sides when the way back begins."""

    old: tuple[Container, ...]
    new: tuple[Container, ...]

    @property
    def ran(self) -> tuple[Container, ...]:
        """The new containers that ran then."""
        return tuple(c for c in self.new if c.running)


def undo(session: Session, intent: Intent, current: Deployed | None) -> Outcome:
    """Put the old containers back in the place of the new ones; safe to repeat from any point of a step.

    `current` is what the record says of the old ones. The outcome is RETURNED; or NOT_SERVING, or FAILED where new ones
    had to stay, each with the evidence and with the intent left in the lock, so that the next command goes on.
    """
    _note(session, Phase.RETURNING, intent)
    there = _Found(
        _all(session, (o.container for o in intent.olds)), _all(session, (u.container or u.name for u in intent.news))
    )
    name = current.release if current else ", ".join(c.name for c in there.old) or "the previous container"
    try:
        notes, down = _swap_back(session, intent, there, current)
    except _Stuck as stuck:
        which = f"{stuck.old.process} of {name}" if stuck.old.process else name
        return _stay(session, intent, there, stuck.old, f"{which} could not be started again: {stuck.error.what}")
    except StepFailed as stays:  # the proxy may go on with the new ones
        text = f"it could not be rolled back: {stays.what}"
        return Outcome(session.host.name, Result.FAILED, text, hint=stays.hint)
    outcome = _returned(session, intent, current, name)
    if outcome.result is Result.RETURNED and down:
        said = f"{outcome.detail}, and no request reaches it: {down.what}"
        outcome = replace(outcome, result=Result.NOT_SERVING, detail=said, hint=down.hint)
    elif outcome.result is Result.RETURNED:
        _note(session, Phase.HELD, None)
    return replace(outcome, detail="; ".join((outcome.detail, *notes)))


def _all(session: Session, names: Iterable[str]) -> tuple[Container, ...]:
    """Those of these containers that are there."""
    return tuple(filter(None, session.connection.together(*(partial(find, session, name) for name in names))))


def _note(session: Session, phase: Phase, intent: Intent | None) -> None:
    """Write the intent, if possible: a full disk must not prevent the restoration, and the previous intent leads to it
    as well."""
    if session.lease is None:
        return
    try:
        session.lease.advance(phase, intent)
    except PreflightFailed:
        if phase is Phase.HELD:
            session.lease.settled()


def _swap_back(
    session: Session, intent: Intent, there: _Found, current: Deployed | None
) -> tuple[list[str], ProxyDown | None]:
    """Swap the containers; returns what could not be cleaned up, and what is wrong with the proxy that leads there.
    Raises _Stuck if the old container does not start."""
    engine, together = session.engine, session.connection.together
    notes: list[str] = []
    policies = {o.container: o.restart for o in intent.olds}
    in_the_way = [c for c in there.new if intent.stops_first(c.process)]
    together(*(partial(_retire, session, c) for c in in_the_way))
    for old in there.old:
        if not (old.running or old.paused):
            _start(session, old)
    for old in there.old:
        with _tolerated(notes, f"its restart policy stays {old.restart_policy}"):
            engine.set_restart(old.id, policies[old.id])
    down = _serve_again(session, intent, there, current)
    together(*(partial(_retire, session, c) for c in there.new if c not in in_the_way))
    for new in there.new:
        if not intent.reuses(new.name):
            with _tolerated(notes, f"{new.name} could not be removed"):
                engine.remove(new.id)
    return notes, down


def _serve_again(session: Session, intent: Intent, there: _Found, current: Deployed | None) -> ProxyDown | None:
    """Let the proxy send requests to the old containers as soon as they are healthy, or after a while."""
    if current and current.settings.proxied:
        with contextlib.suppress(StepFailed):
            await_healthy(session, _watched(there.old, current), threading.Event(), window=0.0)
    return let_serve_again(session, current if there.old else None, [c.id for c in there.old], intent.entry)


def _watched(containers: Iterable[Container], current: Deployed) -> list[Watched]:
    return [Watched(c.id, _patient(current.settings.run_of(c.process))) for c in containers]


def _start(session: Session, old: Container) -> None:
    """Start the old container, retrying for a while: its port may be released, or a restarting engine return. Raises
    _Stuck."""
    deadline = time.monotonic() + _START_WAIT
    while True:
        try:
            session.connection.lasting(partial(session.engine.start, old.id))
        except EngineError as error:
            if isinstance(error, NotFound) or time.monotonic() > deadline:
                raise _Stuck(old, error) from error
            time.sleep(_PAUSE)
        except Unreachable:
            if time.monotonic() > deadline or not session.connection.alive:
                raise
            await_engine(session, threading.Event())
        else:
            return


@contextlib.contextmanager
def _tolerated(notes: list[str], text: str) -> Iterator[None]:
    try:
        yield
    except NotFound:
        return
    except EngineError as error:
        notes.append(f"{text} ({error.what})")


def _retire(session: Session, container: Container) -> None:
    with contextlib.suppress(NotFound):
        if container.restart_policy != "no":
            session.engine.set_restart(container.id, "no")
        session.engine.stop(container.id, 10)


def _stay(session: Session, intent: Intent, there: _Found, stuck: Container, why: str) -> Outcome:
    """The old container does not start: start the new one again if it ran, because that is better than serving
    nothing."""
    host = session.host.name
    serving = {c.process for c in _all(session, (c.id for c in there.old)) if c.running}
    again = [c for c in there.ran if c.process not in serving]
    if again:
        with contextlib.suppress(EngineError):
            session.connection.together(*(partial(session.engine.start, c.id) for c in again))
            return Outcome(host, Result.FAILED, f"{why}; {_titles(again, intent)} started again instead")
    seen = find(session, stuck.id)
    held = held_port(session, seen)
    return Outcome(
        host,
        Result.NOT_SERVING,
        f"{why}; {held.why}" if held else why,
        symptoms(session, seen) if seen else None,
        hint=held.way_out if held else "",
    )


def _titles(containers: Iterable[Container], intent: Intent) -> str:
    processes = ", ".join(filter(None, dict.fromkeys(c.process for c in containers)))
    return f"{processes} of {intent.entry.release} were" if processes else f"{intent.entry.release} was"


def _returned(session: Session, intent: Intent, current: Deployed | None, name: str) -> Outcome:
    host = session.host.name
    if not intent.olds:
        return Outcome(host, Result.RETURNED, "nothing ran here before, and nothing runs now")
    found = {c.id: c for c in _all(session, (o.container for o in intent.olds))}
    for running in intent.olds:
        old = found.get(running.container)
        which = f"{running.process} of {name}" if running.process else name
        if not (old and old.alive):
            ended = symptoms(session, old) if old else None
            return Outcome(host, Result.NOT_SERVING, f"{which} is {old.status if old else 'gone'}", ended)
    if still := [c for c in found.values() if not c.running]:
        as_it_was = ", ".join(f"{c.process} is {c.status}" if c.process else f"which is {c.status}" for c in still)
        return Outcome(host, Result.RETURNED, f"back on {name}, {as_it_was}, as it was")
    if current is None:
        return Outcome(host, Result.RETURNED, f"back on {name}")
    try:
        await_healthy(session, _watched(found.values(), current), threading.Event(), window=0.0)
    except RelmanError as error:
        return Outcome(host, Result.RETURNED, f"back on {name}, whose health is not confirmed: {error.what}")
    return Outcome(host, Result.RETURNED, f"back on {name}")


def _patient(settings: RunSettings) -> RunSettings:
    return replace(settings, health=replace(settings.health, timeout=_RETURN_WAIT))


def find(session: Session, name: str) -> Container | None:
    """The container of this name or id, or None."""
    try:
        return session.engine.inspect(name)
    except NotFound:
        return None


def await_engine(session: Session, cancel: threading.Event) -> None:
    """Wait a while for an engine that does not answer, for example during its restart; not for a lost connection."""
    begin = time.monotonic()
    while session.connection.alive:
        try:
            session.engine.facts()
        except Unreachable:
            patience = _ENGINE_WAIT_CANCELLED if cancel.is_set() else _ENGINE_WAIT
            if time.monotonic() - begin > patience:
                return
            time.sleep(_PAUSE)
        else:
            return
