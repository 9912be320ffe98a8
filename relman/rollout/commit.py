"""Let new containers that are healthy have the place of the old ones for good: after a reboot, and for the proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

from relman.model.plan import Step
from relman.model.state_dir.lock import OldContainer
from relman.model.state_dir.record import Unit
from relman.rollout.fleet import Session
from relman.rollout.health import await_healthy, watched_of
from relman.rollout.planning.replacement_order import share_port
from relman.rollout.pre_stop import before_stop
from relman.rollout.proxy.switch import let_serve


def serve(
    session: Session,
    step: Step,
    units: Sequence[Unit],
    standing: object,
    cancel: threading.Event,
    *,
    unasked: bool,
) -> None:
    """From here a reboot brings back the new containers, and the proxy sends them the requests; old ones that did not
    stop first still run, and a reboot brings them back, too.

    `unasked`: their health is judged by what is seen of them alone. Raises StepFailed if the proxy routes as before, if
    one of several groups ended while the next were started, or any while the proxy moved or when the host rebooted:
    then the connection is not `standing` any more, that of before.

    Two policies cannot change in one stroke. In between a reboot brings back both, of which one gets the port; or
    neither, where nothing but relman would keep both from writing the same data. That is one process at a time.
    """
    for names in _paired(step, units):
        _hand_over(session, step, [u for u in units if u.process in names], [o for o in step.old if o.process in names])
    first = [u for u in units if u.process not in step.stop_first]
    _adopt(session, step, first)
    if bool(first) + len(step.turns) > 1 or session.connection.standing is not standing:
        await_healthy(session, watched_of(step.entry, units), cancel, window=0.0, unasked=unasked)
    let_serve(session, step.entry, [u.container for u in units], step.before)
    if step.entry.settings.proxied and _beside(step):  # they may have ended while the old ones answered the last
        await_healthy(session, watched_of(step.entry, units), cancel, window=0.0, unasked=unasked)


def retire(session: Session, step: Step) -> None:
    """Stop the old containers that still run, for good: from here a reboot brings back the new ones alone. Raises what
    the engine raises."""
    beside = _beside(step)
    before_stop(session, beside, step.before)
    _retire(session, beside)
    session.connection.together(*(partial(session.engine.stop, o.container, o.stop_timeout) for o in beside))


def _beside(step: Step) -> list[OldContainer]:
    """The old containers that need not stop before new ones start."""
    return [o for o in step.old if o.process not in step.stop_first]


def _paired(step: Step, units: Sequence[Unit]) -> Iterator[tuple[str, ...]]:
    """The processes whose policies change hands at one time: each by itself, unless another one takes its place."""
    both = {u.process for u in units} & {o.process for o in step.old}
    for turn in step.turns:
        if both.issuperset(turn.processes):
            yield from ((name,) for name in turn.processes)
        else:
            yield turn.processes


def _hand_over(session: Session, step: Step, units: Sequence[Unit], old: Sequence[OldContainer]) -> None:
    alone = any(u.process in step.stop_first and not _reboot_chooses(step, u.process) for u in units)
    if alone:
        _retire(session, old)
    _adopt(session, step, units)
    if not alone:
        _retire(session, old)


def _adopt(session: Session, step: Step, units: Sequence[Unit]) -> None:
    engine, settings = session.engine, step.entry.settings
    session.connection.together(
        *(partial(engine.set_restart, u.container, settings.run_of(u.process).restart) for u in units)
    )


def _retire(session: Session, old: Sequence[OldContainer]) -> None:
    session.connection.together(*(partial(session.engine.set_restart, o.container, "no") for o in old))


def _reboot_chooses(step: Step, process: str) -> bool:
    """Whether the old and the new containers of a process that stops first may be left to come back after a reboot: the
    engine lets only one of them have the port."""
    before = step.before.settings.run_of(process) if step.before else None
    return bool(share_port(before, step.entry.settings.run_of(process)))
