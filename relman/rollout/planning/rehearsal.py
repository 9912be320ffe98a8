"""Plan the rehearsal of a rollback: what is started on each host beside what serves, and what is not. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relman.model.errors import PreflightFailed
from relman.model.plan import Action, Observed, Step
from relman.model.settings import DeploySettings, Order, Process, RunSettings
from relman.model.state_dir.record import Deployed, Unit, kept_in
from relman.rollout.planning.kept_secrets import kept_secrets
from relman.rollout.planning.new_volumes import unproven_volumes
from relman.rollout.planning.planner import Asked
from relman.rollout.planning.preflight import faults_of
from relman.rollout.planning.replacement_order import must_wait
from relman.rollout.planning.rollback_target import RollbackTarget, agreed_target, named_target
from relman.rollout.planning.step import step_of


@dataclass(frozen=True)
class HostRehearsal:
    """One host: the `step` of a rollback there (None: it serves the release already, or has no entry of it), of which
    the containers `units` of the local image `image` are started. `alone` maps each other process to why it is not:
    it must not run twice. `lacks` is what the host lacks, and `hint` how it gets it."""

    host: str
    step: Step | None = None
    image: str = ""
    units: tuple[Unit, ...] = ()
    alone: Mapping[str, str] = field(default_factory=dict)
    lacks: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """The rehearsal of the rollback to `release`, of which `manifest` is the digest."""

    id: str
    service: str
    environment: str
    release: str
    manifest: str
    hosts: tuple[HostRehearsal, ...]


def plan_rehearsal(
    asked: Asked, fleet: Sequence[Observed], release: str | None = None, *, keep_secrets: bool = False
) -> Rehearsal:
    """Plan to start what a rollback would put on each host; arguments as of plan_rollback.

    Raises PreflightFailed where the hosts do not agree on a release, or nothing of it can be started anywhere.
    """
    where = (asked.place, tuple(asked.left_out))
    target = named_target(fleet, release, *where, partly=True) if release else agreed_target(fleet, *where, partly=True)
    if keep_secrets:
        known = [seen for seen in fleet if seen.host in target.entries]
        target = replace(target, entries=kept_secrets(target.entries, known))
    hosts = tuple(_host(asked, seen, target) for seen in fleet)
    alone = {f"{name or 'it'} ({why})": None for host in hosts for name, why in host.alone.items()}
    if alone and not any(host.units or host.lacks for host in hosts):
        raise PreflightFailed(
            f"nothing of {asked.service} {target.release} can be rehearsed: {', '.join(alone)} would run twice",
            hint=f"relman rollback {asked.place} --plan shows what a rollback would do; nothing was changed",
        )
    return Rehearsal(asked.id, asked.service, asked.environment, target.release, str(target.manifest), hosts)


def _host(asked: Asked, seen: Observed, target: RollbackTarget) -> HostRehearsal:
    entry = target.entries.get(seen.host)
    if entry is None:
        tag = shlex.quote(target.release)
        return HostRehearsal(
            seen.host,
            lacks=f"has no entry of its own for {target.release}",
            hint=f"relman deploy {tag} {asked.place} --only {seen.host} makes one, and makes it serve there; "
            f"else a rollback leaves the host out: --exclude {seen.host} --reason WHY",
        )
    step = step_of(seen, entry, verify=False)
    if step is None or step.action is Action.VERIFY:
        return HostRehearsal(seen.host)
    alone = dict(_alone(seen.record.serving, entry.settings))
    image = kept_in(seen.images, entry)
    if image is None:
        return HostRehearsal(
            seen.host,
            step,
            alone=alone,
            lacks=f"no longer has the image of {entry.release}: a rollback has to pull it from the registry",
            hint=f"there: docker pull {entry.repository.at(entry.manifest)}",
        )
    lacks = "; ".join(faults_of(step, seen))
    units = () if lacks else tuple(_units(asked, entry, alone))
    return HostRehearsal(seen.host, step, image, units, alone, lacks)


def _units(asked: Asked, entry: Deployed, alone: Mapping[str, str]) -> Iterator[Unit]:
    """One container for each replica, by names that no deployment gives."""
    for part in entry.settings.parts:
        for number in range(1, part.replicas + 1) if part.name not in alone else ():
            name = f"{asked.service}-{asked.environment}-{asked.id}-rehearsal"
            yield Unit(part.name, number, f"{name}-{part.name}-{number}" if part.name else name)


def _alone(current: Deployed | None, new: DeploySettings) -> Iterator[tuple[str, str]]:
    """The processes that must not run beside what serves, whether it runs at this moment or not, and why."""
    old = _without_ports(current.settings) if current else None
    running = [p.name for p in (old or new).parts]
    for part in (bare := _without_ports(new)).parts:
        if why := _why_alone(part) or must_wait(old, bare, part, {*running, part.name}):
            yield part.name, why


def _why_alone(part: Process) -> str:
    if part.max_hosts is not None:
        return f"max_hosts: {part.max_hosts}"
    if "host" in part.run.networks:
        return "it uses the host's network"
    return "order: stop-first" if part.run.order is Order.STOP_FIRST else ""


def _without_ports(settings: DeploySettings) -> DeploySettings:
    """As a rehearsal runs it: no port of the host is bound."""

    def bare(run: RunSettings) -> RunSettings:
        return replace(run, ports=())

    processes = tuple(replace(p, run=bare(p.run)) for p in settings.processes)
    return replace(settings, ports=(), processes=processes)


def lost_volumes(step: Step, present: frozenset[str]) -> list[str]:
    """The named volumes that a rollback would make anew, empty."""
    return [name for name in unproven_volumes(step) if name not in present]
