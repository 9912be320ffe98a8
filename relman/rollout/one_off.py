"""Containers that run one command beside a service, with its settings and secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from relman.docker.answers import clock
from relman.docker.attached import Attached
from relman.model.container import EXEC, RunSpec
from relman.model.container_settings import Logging
from relman.model.errors import NotFound, StepFailed
from relman.model.files import blanked
from relman.model.plan import Observed, Plan
from relman.model.settings import Health, RunSettings
from relman.model.state_dir.record import kept_in
from relman.rollout.file_sets import bring, equipped
from relman.rollout.fleet import Session

_STOP = 10  # seconds until it is killed
_NOT_STARTED = "created"
_AWHILE = 600.0


def one_off(settings: RunSettings, command: Sequence[str]) -> RunSettings:
    """The service's own settings for such a container: without its ports, which the service still binds, and without
    the labels and names by which others find it."""
    container = replace(settings.container, labels={})
    return replace(
        settings, command=tuple(command), ports=(), restart="no", health=Health(), container=container, aliases={}
    )


@contextlib.contextmanager
def attached_to_new(
    session: Session, plan: Plan, seen: Observed, process: str, argv: Sequence[str], *, terminal: bool
) -> Iterator[Attached]:
    """Run `argv` as a person does in a new container of what serves, which is stopped and removed on leaving. Its
    engine removes it when the command ends, too, whatever became of relman by then. It keeps no log.

    Raises StepFailed where the host has lost the image, a secret or a file, and what the engine raises.
    """
    entry = seen.record.serving
    image = kept_in(seen.images, entry) if entry else None
    if entry is None or image is None:
        raise StepFailed(f"has no image of what serves {plan.service}", host=session.host.name)
    labels = {EXEC: f"{plan.environment}/{plan.service}"}
    _clear(session, labels)
    bring(session, plan, entry)
    settings = one_off(equipped(session, plan, entry, entry.settings.run_of(process)), argv)
    settings = replace(settings, container=replace(settings.container, tty=terminal, logging=Logging("none")))
    name = f"{plan.service}-{plan.environment}-{plan.id}-exec"
    labels = {**blanked(entry.settings.every_file), **labels}
    made = session.engine.create(RunSpec(name, image, settings, labels, interactive=True, passing=True))
    try:
        with session.engine.inside.start(made, terminal=terminal) as command:
            yield command
    finally:
        _end(session, made)


def _end(session: Session, container: str) -> None:
    """Stop it, on which its engine removes it; one that never started is for whoever created it to remove."""
    with contextlib.suppress(NotFound):
        state = session.engine.inspect(container)
        if state.alive:
            session.engine.stop(container, _STOP)
        elif state.status == _NOT_STARTED:
            session.engine.remove(container)


def _clear(session: Session, labels: Mapping[str, str]) -> None:
    """Remove those whose relman died before it started them: they hold secrets. What is new may be another's that is
    about to start."""
    for left in session.engine.survey(labels)[0]:
        if left.status == _NOT_STARTED and session.now() - clock(left.created_at) > _AWHILE:
            session.engine.remove(left.id)
