"""The new containers of a step on one host: what they will be, as the lock's intent says it, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from relman.model.container import (
    CONFIG,
    DEPLOYMENT,
    ENVIRONMENT,
    MANIFEST,
    PROCESS,
    RELEASE,
    REPLICA,
    SERVICE,
    RunSpec,
)
from relman.model.files import blanked
from relman.model.plan import Kind, Observed, Plan, Step
from relman.model.settings import RunSettings
from relman.model.state_dir.lock import Intent
from relman.model.state_dir.record import Deployed, Unit
from relman.rollout.file_sets import bring, equipped
from relman.rollout.fleet import Session
from relman.rollout.proxy.attach import addressed, in_network, move


def of_service(plan: Plan) -> Mapping[str, str]:
    """The labels of all containers of the service."""
    return {SERVICE: plan.service, ENVIRONMENT: plan.environment}


def intended(plan: Plan, step: Step, seen: Observed) -> Intent:
    """What a step that changes containers means to do: a stopped container of this very deployment is taken again, the
    fast way back. Pure."""
    entry = step.entry
    known = next((e for e in seen.record.entries if e.id == entry.id), None)
    # The secrets of a container were settled when it was created.
    same = not entry.secrets or (known is not None and known.secrets == entry.secrets)
    found = [c for c in seen.containers_of(entry.id) if not c.alive and c.image_id == entry.image_id]
    kept = {c.slot: c for c in found if same}
    units = tuple(
        Unit(p.name, n, old.name, old.id) if (old := kept.get((p.name, str(n)))) else _fresh(plan, p.name, n)
        for p in entry.settings.parts
        for n in range(1, p.replicas + 1)
    )
    return Intent.make(
        step.old,
        entry,
        units,
        stop_first=step.stop_first,
        reused=tuple(u.name for u in units if u.container),
        rollback=plan.kind is Kind.ROLLBACK,
    )


def _fresh(plan: Plan, process: str, replica: int) -> Unit:
    name = f"{plan.service}-{plan.environment}-{plan.id}"
    return Unit(process, replica, f"{name}-{process}-{replica}" if process else name)


def make(session: Session, plan: Plan, step: Step, image: str, intent: Intent) -> tuple[Unit, ...]:
    """Create the new containers, or take kept ones; returns them with their ids.

    A new one must not start after a reboot yet. An old one must, if it is going to be stopped before the new one
    starts.
    """
    engine = session.engine
    bring(session, plan, step.entry)
    fresh = [unit for unit in intent.news if not intent.reuses(unit.name)]
    processes = {unit.process for unit in fresh}
    runs = {p: equipped(session, plan, step.entry, step.entry.settings.run_of(p)) for p in processes}

    def one(unit: Unit, address: str) -> Unit:
        if intent.reuses(unit.name):
            kept = engine.inspect(unit.container or unit.name)
            engine.set_restart(kept.id, "no")
            if address:
                move(session, kept, address, _aliases(plan, step.entry, unit))
            return replace(unit, container=kept.id)
        spec = _spec(plan, step.entry, image, unit, runs[unit.process])
        return replace(unit, container=engine.create(in_network(spec, address) if address else spec))

    old = [partial(engine.set_restart, o.container, "always") for o in step.old if o.process in step.stop_first]
    with addressed(session, step, intent.news) as addresses:
        new = [partial(one, unit, addresses.get(unit.name, "")) for unit in intent.news]
        made = session.connection.together(*old, *new)
    return tuple(made[len(old) :])


def _spec(plan: Plan, entry: Deployed, image: str, unit: Unit, run: RunSettings) -> RunSpec:
    labels = {
        **blanked(entry.settings.every_file),
        **of_service(plan),
        DEPLOYMENT: entry.id,
        RELEASE: entry.release,
        MANIFEST: str(entry.manifest),
        CONFIG: str(entry.config),
    }
    if unit.process:
        labels |= {PROCESS: unit.process, REPLICA: str(unit.replica)}
    # Until it is proven the new container must not come back after a reboot: the old one does.
    return RunSpec(unit.name, image, replace(run, restart="no"), labels, _aliases(plan, entry, unit))


def _aliases(plan: Plan, entry: Deployed, unit: Unit) -> tuple[str, ...]:
    """Its names in every network."""
    if not unit.process:
        return (plan.service,)
    first = unit.process == entry.settings.parts[0].name
    return (f"{plan.service}-{unit.process}", *((plan.service,) if first else ()))
