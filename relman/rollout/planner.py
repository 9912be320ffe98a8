"""Decide what a deployment or a rollback does. Pure: from what was seen to a plan; nothing here touches a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from relman.model.container import Container
from relman.model.errors import PreflightFailed
from relman.model.image import ImageId
from relman.model.plan import Action, Kind, Observed, Plan, Step
from relman.model.record import Deployed, HostRecord
from relman.model.run import Release
from relman.model.settings import DeploySettings, Order
from relman.rollout.strategies import WAVES


@dataclass(frozen=True)
class Asked:
    """What the person asked for, and when: the parts of a plan that are not seen on hosts.

    `id` is the deployment's, `at` RFC 3339 in UTC, `max_unavailable` overrides the release's own when given.
    """

    id: str
    at: str
    by: str
    service: str
    environment: str
    max_unavailable: str | None = None


def plan_deploy(
    asked: Asked, release: Release, settings: Mapping[str, DeploySettings], fleet: Sequence[Observed]
) -> Plan:
    """Plan to make `release` serve on every host of `fleet`, each with its own `settings`."""
    steps: list[Step] = []
    unchanged: list[str] = []
    for seen in fleet:
        step = _step(seen, _entry(asked, release, settings[seen.host], seen), verify=True)
        if step:
            steps.append(step)
        else:
            unchanged.append(seen.host)
    first = settings[fleet[0].host]
    return Plan(
        id=asked.id,
        kind=Kind.DEPLOY,
        service=asked.service,
        environment=asked.environment,
        release=release.tag,
        waves=WAVES["rolling"](steps, asked.max_unavailable or first.max_unavailable),
        unchanged=tuple(unchanged),
        warnings=_warnings(steps, release),
        on_failure=first.on_failure,
        keep=first.keep,
    )


def plan_rollback(asked: Asked, fleet: Sequence[Observed]) -> Plan:
    """Plan the way back to the newest release proven good before the one that serves; raises PreflightFailed where
    the records know none."""
    leaving, target = rollback_target([seen.record for seen in fleet])
    steps: list[Step] = []
    unchanged: list[str] = []
    for seen in fleet:
        entry = _own_entry(seen.record, target) or replace(target, container="", image_id=_image_id(target, seen))
        step = _step(seen, entry, verify=False)
        if step:
            steps.append(step)
        else:
            unchanged.append(seen.host)
    return Plan(
        id=asked.id,
        kind=Kind.ROLLBACK,
        service=asked.service,
        environment=asked.environment,
        release=target.release,
        waves=WAVES["rolling"](steps, asked.max_unavailable or target.settings.max_unavailable),
        unchanged=tuple(unchanged),
        warnings=(f"{leaving.release} will not count as proven good until someone deploys it by name",),
        on_failure=target.settings.on_failure,
        keep=target.settings.keep,
    )


def rollback_target(records: Sequence[HostRecord]) -> tuple[Deployed, Deployed]:
    """The release that serves (the newest of all hosts), and the newest proven good before it.

    Hosts may disagree after a halted deployment: then what the newest release's hosts ran before it decides.
    Raises PreflightFailed when nothing was deployed, or nothing proven good came before.
    """
    serving = [r.serving for r in records if r.serving]
    if not serving:
        raise PreflightFailed(
            "nothing was deployed here, so there is nothing to roll back to",
            hint="relman releases lists what can be deployed",
        )
    leaving = max(serving, key=lambda e: (e.at, e.id))
    candidates = [target for r in records if (target := before(r, leaving))]
    if not candidates:
        raise PreflightFailed(
            f"no release before {leaving.release} is proven good",
            hint="relman deploy TAG puts a release of your choice there; relman releases lists them",
        )
    return leaving, max(candidates, key=lambda e: (e.at, e.id))


def before(record: HostRecord, leaving: Deployed) -> Deployed | None:
    """The newest release proven good on this host before `leaving`, or None. The same release with the same settings,
    deployed again, is no way back."""
    ids = [e.id for e in record.entries]
    older = record.entries[: ids.index(leaving.id)] if leaving.id in ids else record.entries
    here = _own_entry(record, leaving) or leaving
    return next((e for e in reversed(older) if e.proven and not _alike(e, here)), None)


def _alike(one: Deployed, other: Deployed) -> bool:
    return (one.manifest, one.settings) == (other.manifest, other.settings)


def _own_entry(record: HostRecord, target: Deployed) -> Deployed | None:
    """This host's memory of the target: its own settings for that deployment, else for that release."""
    same_deployment = (e for e in record.entries if e.id == target.id)
    same_release = (e for e in reversed(record.entries) if e.manifest == target.manifest and e.proven)
    return next(same_deployment, None) or next(same_release, None)


def _entry(asked: Asked, release: Release, settings: DeploySettings, seen: Observed) -> Deployed:
    entry = Deployed(
        id=asked.id,
        release=release.tag,
        repository=release.repository,
        manifest=release.manifest,
        config=release.config,
        image_id=ImageId(release.config.value),
        kept_as=kept_as(asked.environment, asked.service, release),
        settings=settings,
        container="",
        at=asked.at,
        by=asked.by,
        commit=release.commit,
        verified=settings.health.probe != "none",
        skipped=release.skipped,
    )
    return replace(entry, image_id=_image_id(entry, seen))


def kept_as(environment: str, service: str, release: Release) -> str:
    """The local tag that keeps an image from being pruned."""
    return f"relman.kept/{environment.lower()}/{service.lower()}:{release.manifest.short}"


def _image_id(entry: Deployed, seen: Observed) -> ImageId:
    return ImageId(entry.manifest.value if seen.facts.containerd_store else entry.config.value)


def _step(seen: Observed, entry: Deployed, *, verify: bool) -> Step | None:
    """What this host needs, or None when `entry` serves there already, with these settings, and was proven good."""
    old = seen.in_place
    current = seen.record.serving
    if old is None:
        return Step(seen.host, Action.START, entry)
    old_release = current.release if current else old.name
    if current and old.running and _same(old, current, entry):
        if current.proven or not verify:
            return None
        return Step(seen.host, Action.VERIFY, replace(current, by=entry.by), old.id, old_release)
    stop_first, why = order(current.settings if current else None, entry.settings)
    return Step(
        host=seen.host,
        action=Action.REPLACE,
        entry=entry,
        old=old.id,
        old_release=old_release,
        old_restart=old.restart_policy,
        old_stop_timeout=current.settings.stop_timeout if current else 10,
        stop_first=stop_first,
        why=why,
    )


def _same(old: Container, current: Deployed, entry: Deployed) -> bool:
    return (
        old.image_id == entry.image_id
        and current.manifest == entry.manifest
        and current.settings == entry.settings
        and old.id == current.container
    )


def order(old: DeploySettings | None, new: DeploySettings) -> tuple[bool, str]:
    """Whether the old container has to stop before the new one starts, and why (design: two copies must not share)."""
    reason = must_stop_first(old, new)
    if reason:
        return True, reason
    if new.order is Order.STOP_FIRST:
        return True, "order: stop-first"
    return False, "nothing is shared"


def must_stop_first(old: DeploySettings | None, new: DeploySettings) -> str:
    """Why two copies must not run at once, or "" when they may. Where the old is unknown, the new decides alone."""
    last = old or new
    if new.singleton or last.singleton:
        return "singleton"
    if "host" in new.networks and "host" in last.networks:
        return "both use the host's network"
    taken = {(p.protocol, p.host_port) for p in last.ports if p.host_port}
    for port in new.ports:
        if (port.protocol, port.host_port) in taken:
            return f"both take port {port.host_port}"
    shared = {m.source: m for m in last.volumes}
    for mount in new.volumes:
        other = shared.get(mount.source)
        if other and not (mount.read_only and other.read_only):
            return f"both write {mount.source}"
    return ""


def _warnings(steps: Sequence[Step], release: Release) -> tuple[str, ...]:
    unverified = [s.host for s in steps if not s.entry.verified]
    if not unverified:
        return ()
    return (f"{release} has no health check: it will be marked unverified, and only its staying up is watched",)
