"""Let the proxy answer in the place of a service, or no longer."""

from __future__ import annotations

from dataclasses import replace

from relman.hosts.state_dir import proxy as kept
from relman.model.errors import PreflightFailed
from relman.model.state_dir.lock import Lock
from relman.rollout.fleet import Session
from relman.rollout.proxy.apply import Applied
from relman.rollout.proxy.load import MAKE, load
from relman.rollout.proxy.lock import proxy_locked

_HINT = "relman proxy status lists what it routes; a deployment with deploy.proxy adds to it"


def maintain(session: Session, name: str, holder: Lock, *, on: bool) -> Applied:
    """Send nothing to the backend of this name, or again; it stays so over deployments.

    Raises PreflightFailed if the host's proxy does not route it, StepFailed if it does not load that, Locked, and what
    the connection raises.
    """
    with proxy_locked(session, holder):
        state = kept.read(session.connection)
        found = state.backend(name) if state else None
        if state is None:
            raise PreflightFailed("has no proxy", host=session.host.name, hint=f"{MAKE}, and a deployment routes to it")
        if found is None:
            raise PreflightFailed(f"its proxy does not route {name}", host=session.host.name, hint=_HINT)
        if found.maintenance is on:
            return Applied(f"{'answers already' if on else 'does not answer'} in the place of {name}", False)
        load(session, state, state.having(replace(found, maintenance=on)))
    return Applied(f"{'answers' if on else 'no longer answers'} in the place of {name}")
