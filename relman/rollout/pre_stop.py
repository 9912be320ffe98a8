"""What comes before the stop of a container that serves, so that a balancer which is not relman's sends it nothing more
(deploy.pre_stop)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial

from relman.hosts.health_probe import probe_http
from relman.model.errors import EngineError
from relman.model.settings import Health, Probe, RunSettings
from relman.model.state_dir.lock import OldContainer
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Session
from relman.rollout.looking.askable import own_address

_TIMEOUT = 10.0


def before_stop(session: Session, old: Sequence[OldContainer], before: Deployed | None) -> None:
    """Do what the release `before` says of these containers of it, side by side, and wait as long as it says. What
    fails keeps none from being stopped. Raises Unreachable if the connection is lost."""
    asked = [(o, run) for o in old if before and (run := before.settings.run_of(o.process)).pre_stop]
    session.connection.together(*(partial(_ask, session, o.container, run) for o, run in asked))
    time.sleep(max((run.pre_stop.wait for _, run in asked if run.pre_stop), default=0.0))


def _ask(session: Session, container: str, run: RunSettings) -> None:
    with contextlib.suppress(EngineError):
        found, wanted = session.engine.inspect(container), run.pre_stop
        if not found.running or wanted is None:
            return
        if wanted.command:
            session.engine.inside.run(found, wanted.command, _TIMEOUT)
        elif wanted.port and (address := own_address(found, run)):
            health = Health(Probe.HTTP, wanted.port, wanted.path)
            probe_http(session.connection, address, health, wanted.port, _TIMEOUT)
