"""Check that every host meets a plan's preconditions, before anything changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from relman.model.container import EngineFacts
from relman.model.errors import PolicyRefused, PreflightFailed, TagMoved
from relman.model.plan import Kind, Observed, Plan, Step
from relman.model.run import Release
from relman.model.settings import Binding, Health, Order, Probe, Process
from relman.model.strategy import StrategyKind
from relman.rollout.conclusion import hosts_in_words
from relman.rollout.planning.replacement_order import must_wait
from relman.rollout.planning.rollback_target import before


def check(plan: Plan, fleet: Sequence[Observed], release: Release | None) -> None:
    """Raise PreflightFailed with the faults of all hosts. `release` is given for deployments only."""
    seen = {o.host: o for o in fleet}
    if release:
        check_moved(release, fleet)
    faults = [f"{step.host}: {fault}" for step in plan.steps for fault in faults_of(step, seen[step.host], release)]
    if plan.strategy is StrategyKind.BLUE_GREEN:
        faults += [f"{s.host}: strategy blue_green runs both releases, and {s.why}" for s in plan.steps if s.turns]
    if plan.kind in (Kind.DEPLOY, Kind.RESTART):
        faults += [f"{s.host}: {fault}" for s in plan.steps for fault in _paused(seen[s.host], plan.place)]
    if faults:
        raise PreflightFailed("the hosts cannot take this deployment", details=faults, hint="nothing was changed")


def check_networks(plan: Plan, missing: Mapping[str, Collection[str]]) -> None:
    """Raise PreflightFailed with every host that lacks a network of its step; `missing` is by host."""
    faults = [f"{s.host}: there is no network {name}" for s in plan.steps for name in missing.get(s.host, ())]
    if faults:
        raise PreflightFailed(
            "the hosts cannot take this deployment",
            details=faults,
            hint="nothing was changed; docker network create NAME, on the host, or correct deploy.networks",
        )


def check_health(plan: Plan, mute: Mapping[str, str]) -> Plan:
    """Return the plan if the health of its containers can be checked; `mute` maps hosts to the reason why not.

    A rollback is not prevented: it is planned to judge by inspection. Raises PreflightFailed.
    """
    if not mute:
        return plan
    if plan.kind is Kind.ROLLBACK:
        return _unasked(plan, mute)
    runs = (run for s in plan.steps if s.host in mute for run in s.entry.settings.runs)
    health = next(run.health for run in runs if run.health.probe.by_address)
    raise PreflightFailed(
        f"the health of {plan.service} {plan.release} cannot be checked",
        details=[f"{host}: {why}" for host, why in mute.items()],
        hint="nothing was changed; correct that, or check it in the container: build it with `health: "
        "{image: true}` and a HEALTHCHECK (or deploy.healthcheck), or with `health: "
        f"{{command: {_command(health)}}}`",
    )


def _command(health: Health) -> str:
    """The equivalent command inside the container, as YAML."""
    if health.probe is Probe.HTTP:
        return f"[wget, -q, -O, /dev/null, 'http://127.0.0.1:{health.port}{health.path}']"
    return f"[nc, -z, 127.0.0.1, '{health.port}']"


def _unasked(plan: Plan, mute: Mapping[str, str]) -> Plan:
    def one(step: Step) -> Step:
        if step.host not in mute:
            return step
        return replace(step, unasked=mute[step.host], entry=replace(step.entry, verified=False))

    waves = tuple(replace(wave, steps=tuple(map(one, wave.steps))) for wave in plan.waves)
    whys = "; ".join(f"on {hosts_in_words(_same(mute, why))}: {why}" for why in dict.fromkeys(mute.values()))
    said = f"health is not checked {whys}. There it must run without a restart, and its HEALTHCHECK, if any, must pass"
    return replace(plan, waves=waves, warnings=(*plan.warnings, said))


def _same(mute: Mapping[str, str], why: str) -> list[str]:
    return [host for host, own in mute.items() if own == why]


def check_crossing(plan: Plan) -> None:
    """Raise PolicyRefused if a rollback goes back past tasks that are not marked rollback_safe."""
    if plan.crosses:
        raise PolicyRefused(
            f"{plan.release} may not work after these tasks: {', '.join(plan.crosses)}",
            hint="they are not marked rollback_safe; --force rolls back anyway, and so does a yes at a terminal",
        )


def check_moved(release: Release, fleet: Sequence[Observed]) -> None:
    """Raise TagMoved if a host's record has this release tag with another digest."""
    for seen in fleet:
        for entry in seen.record.entries:
            same_tag = (entry.repository, entry.release) == (release.repository, release.tag)
            if same_tag and entry.manifest != release.manifest:
                raise TagMoved(
                    f"the release tag {release} was moved: it was {entry.manifest} when it was "
                    f"deployed here at {entry.at}, and is {release.manifest} now",
                    host=seen.host,
                    hint="a release tag never moves: find out who moved it, and release under a tag of its own; "
                    f"where the host's record is wrong, leave the host out: --exclude {seen.host} --reason WHY",
                )


def fits(release: Release, facts: EngineFacts) -> bool:
    """Whether the release's image is for this engine's platform. Pure."""
    host, image = facts.platform, release.platform
    return (host.os, host.architecture) == (image.os, image.architecture)


def faults_of(step: Step, seen: Observed, release: Release | None = None) -> Iterator[str]:
    """What stands in the way of a step on its host."""
    yield from _port_faults(step, seen)
    yield from _order_faults(step, seen)
    if release:
        yield from _image_faults(step, seen, release)


def _paused(seen: Observed, place: str) -> Iterator[str]:
    """Somebody paused it for a reason: a deployment does not go over that, a rollback does."""
    current = seen.record.serving
    if paused := [c.name for c in seen.in_place if c.paused]:
        back = f", or relman rollback {place} replaces it" if current and before(seen.record, current) else ""
        names = " ".join(paused)
        yield f"{', '.join(paused)} is paused: resume it there with docker unpause {names}{back}"


def _port_faults(step: Step, seen: Observed) -> Iterator[str]:
    ours = {c.name for c in seen.containers} | set(step.adopts)
    extra = {c.name for c in seen.extra}
    for port in filter(None, (p.binding for run in step.entry.settings.runs for p in run.ports)):
        for owner in seen.owners_of(port):
            if owner in extra:
                yield f"{_taken(port, owner)}, which also runs: docker rm -f {owner}, there"
            elif owner not in ours:
                yield f"{_taken(port, owner)}, which belongs to something else"


def _taken(port: Binding, owner: str) -> str:
    return f"port {port.port}/{port.protocol} is taken by the container {owner}"


def _order_faults(step: Step, seen: Observed) -> Iterator[str]:
    settings, current = step.entry.settings, seen.record.serving
    running = {o.process for o in step.old}
    for part in settings.parts:
        reason = must_wait(current.settings if current else None, settings, part, running)
        if running and part.run.order is Order.START_FIRST and reason:
            yield f"{_of(part)}order: start-first is impossible, because {reason}"


def _image_faults(step: Step, seen: Observed, release: Release) -> Iterator[str]:
    settings = step.entry.settings
    if not fits(release, seen.facts):
        yield f"the host is {seen.facts.platform}, and only the image for {release.platform} was tested"
    for part in settings.parts:
        mapped = {m.target.rstrip("/") for m in part.run.volumes}
        key = f"deploy.processes.{part.name}.volumes" if part.name else "deploy.volumes"
        for volume in release.volumes:
            if volume.rstrip("/") not in mapped:
                yield f"the image keeps data in {volume}, and {key} maps nothing to it: its data would be lost"
        if part.run.health.probe is Probe.IMAGE and not part.run.has_healthcheck(image=release.has_healthcheck):
            lacks = "deploy.health.image is set, and the image has no HEALTHCHECK: add one, or deploy.healthcheck"
            yield f"{_of(part)}{lacks}"


def _of(part: Process) -> str:
    return f"{part.name}: " if part.name else ""
