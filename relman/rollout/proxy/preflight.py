"""See, before anything changes, that the proxies of a plan's hosts can route to it."""

from __future__ import annotations

from collections.abc import Iterator

from relman.hosts.state_dir import proxy as kept
from relman.model.errors import PreflightFailed, StepFailed
from relman.model.plan import Plan, Step
from relman.model.proxy_settings import Protocol
from relman.rollout.fleet import Fleet, Session
from relman.rollout.proxy.load import require_free, require_sockets, running
from relman.rollout.proxy.switch import backend_of


def require_proxies(fleet: Fleet, plan: Plan) -> None:
    """Raise PreflightFailed with the faults of all hosts whose proxy cannot route to what the plan puts there; and what
    the connections raise."""
    steps = {step.host: step for step in plan.steps if step.entry.settings.proxied}

    def one(session: Session) -> list[str]:
        return list(faults_of(session, plan, steps[session.host.name]))

    found = fleet.each(one, steps).all("looking at the proxies")
    if faults := [f"{host}: {fault}" for host, own in found.items() for fault in own]:
        raise PreflightFailed("the proxies cannot take this deployment", details=faults, hint="nothing was changed")


def faults_of(session: Session, plan: Plan, step: Step) -> Iterator[str]:
    """Why the host's proxy cannot route to what the step puts there. Raises what the connection raises."""
    backend = backend_of(plan.environment, plan.service, step.entry, ())
    if backend is None:
        yield f"relman_routes in the inventory has no {plan.service}, which deploy.proxy needs"
        return
    if (backend.route.listen is not None) != (backend.settings.protocol is Protocol.TCP):
        yield f"relman_routes.{plan.service}: listen belongs to protocol: tcp, and this is {backend.settings.protocol}"
    if session.facts.rootless:
        yield "its engine is rootless: the proxy would not reach its containers"
        return
    if (state := kept.read(session.connection)) is None:
        yield "has no proxy: relman proxy apply makes it as the inventory says"
        return
    try:
        require_sockets(session)
        running(session, state)
        if taken := state.claimed(backend):
            yield taken
        elif backend.route.listen:
            require_free(session, {backend.route.listen} - state.ports, StepFailed)
    except (StepFailed, PreflightFailed) as error:
        yield f"{error.what}: {error.hint}"
