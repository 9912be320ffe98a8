"""Restore the old container in place of the new one, from any point of a step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from relman.model.container import Container
from relman.model.errors import EngineError, NotFound, PreflightFailed, RelmanError, Unreachable
from relman.model.plan import Outcome, Result
from relman.model.record import Deployed, Intent, Phase
from relman.rollout.busy_ports import held_port
from relman.rollout.fleet import Session
from relman.rollout.health import await_healthy, symptoms

_RETURN_WAIT = 5.0
_START_WAIT = 3.0
_PAUSE = 0.3
_ENGINE_WAIT = 20.0
_ENGINE_WAIT_CANCELLED = 3.0


class _Stuck(Exception):
    """The old container does not start."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(error.what)
        self.error = error


def undo(session: Session, intent: Intent, current: Deployed | None) -> Outcome:
    """Restore the old container in place of the new one; safe to repeat from any point.

    `current` is the record's entry of the old one. The outcome is RETURNED; NOT_SERVING; or FAILED if the new one had
    to stay. After the latter two the intent stays in the lock, so that the next command continues.
    """
    _note(session, Phase.RETURNING, intent)
    new = find(session, intent.new_name)
    old = find(session, intent.old) if intent.old else None
    name = current.release if current else "the previous container"
    try:
        notes = _swap_back(session, intent, new, old)
    except _Stuck as stuck:
        return _stay(session, intent, new, old, f"{name} could not be started again: {stuck.error.what}")
    outcome = _returned(session, intent, current, name)
    if outcome.result is Result.RETURNED:
        _note(session, Phase.HELD, None)
    return replace(outcome, detail="; ".join((outcome.detail, *notes)))


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


def _swap_back(session: Session, intent: Intent, new: Container | None, old: Container | None) -> list[str]:
    """Swap the containers; returns what could not be cleaned up. Raises _Stuck if the old container does not start."""
    notes: list[str] = []
    if new and intent.stop_first:
        _retire(session, new)
    if old:
        if not (old.running or old.paused):
            _start(session, old)
        with _tolerated(notes, f"its restart policy stays {old.restart_policy}"):
            session.engine.set_restart(old.id, intent.old_restart)
    if new:
        if not intent.stop_first:
            _retire(session, new)
        if not intent.reused:
            with _tolerated(notes, f"{new.name} could not be removed"):
                session.engine.remove(new.id)
    return notes


def _start(session: Session, old: Container) -> None:
    """Start the old container, retrying for a while: its port may be released, or a restarting engine return. Raises
    _Stuck."""
    deadline = time.monotonic() + _START_WAIT
    while True:
        try:
            session.connection.lasting(partial(session.engine.start, old.id))
        except EngineError as error:
            if isinstance(error, NotFound) or time.monotonic() > deadline:
                raise _Stuck(error) from error
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


def _stay(session: Session, intent: Intent, new: Container | None, old: Container | None, why: str) -> Outcome:
    """The old container does not start: start the new one again if it ran, because that is better than serving
    nothing."""
    host = session.host.name
    if new and new.running:
        with contextlib.suppress(EngineError):
            session.engine.start(new.id)
            return Outcome(host, Result.FAILED, f"{why}; {intent.entry.release} was started again instead")
    seen = find(session, old.id) if old else None
    held = held_port(session, seen)
    return Outcome(
        host,
        Result.NOT_SERVING,
        f"{why}; {held.why}" if held else why,
        symptoms(session, seen) if seen else None,
        hint=held.way_out if held else "",
    )


def _returned(session: Session, intent: Intent, current: Deployed | None, name: str) -> Outcome:
    host = session.host.name
    if not intent.old:
        return Outcome(host, Result.RETURNED, "nothing ran here before, and nothing runs now")
    old = find(session, intent.old)
    if old and old.alive and not old.running:
        return Outcome(host, Result.RETURNED, f"back on {name}, which is {old.status}, as it was")
    if not (old and old.running):
        ended = symptoms(session, old) if old else None
        return Outcome(host, Result.NOT_SERVING, f"{name} is {old.status if old else 'gone'}", ended)
    if current is None:
        return Outcome(host, Result.RETURNED, f"back on {name}")
    patience = replace(current.settings, health=replace(current.settings.health, timeout=_RETURN_WAIT))
    try:
        await_healthy(session, old.id, patience, threading.Event(), window=0.0)
    except RelmanError as error:
        return Outcome(host, Result.RETURNED, f"back on {name}, whose health is not confirmed: {error.what}")
    return Outcome(host, Result.RETURNED, f"back on {name}")


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
