"""Select the release of a deployment."""

from __future__ import annotations

from collections.abc import Mapping

from relman.app.context import Events
from relman.app.deployments.rollouts import require_all
from relman.evidence.assessment import Criteria
from relman.evidence.gates.statements import binding
from relman.evidence.release import examine, find_release
from relman.model.errors import PreflightFailed, UnknownTag
from relman.model.image import Platform, Repository
from relman.model.run import Release
from relman.registry.client import Registry
from relman.registry.images import SeveralPlatforms
from relman.rollout.fleet import Fleet


def release_for(
    fleet: Fleet, registry: Registry, repository: Repository, tag: str, check: Criteria, events: Events
) -> Release:
    """The release under `tag` for these hosts, which are asked for their platform only if an index has several.

    Raises PreflightFailed, naming hosts without a tested image, and what `find_release` raises.
    """
    try:
        return _called(registry, repository, tag, check, events)
    except SeveralPlatforms:
        require_all(fleet)
        found = fleet.each(lambda session: session.facts.platform).all("looking at the hosts")
        lacking = {p: why for p in set(found.values()) if (why := _lacks(registry, repository, tag, check, p))}
        platform = one_platform(found, lacking, f"{repository.name}:{tag}")
        return _called(registry, repository, tag, check, events, platform)


def one_platform(hosts: Mapping[str, Platform], lacking: Mapping[Platform, str], name: str) -> Platform:
    """The platform of all these hosts. Pure.

    Raises PreflightFailed, naming the hosts, if the image `name` has no tested image for one (`lacking` says why), or
    if their platforms differ.
    """
    faults = [f"{host}: the host is {p}: {lacking[p]}" for host, p in hosts.items() if p in lacking]
    if faults:
        hint = "nothing was changed; build and test it for that platform, or leave the host out"
        raise PreflightFailed(f"{name} has no tested image for every host", details=faults, hint=hint)
    if len(set(hosts.values())) > 1:
        raise PreflightFailed(
            "a deployment is for one platform, and these hosts have several",
            details=[f"{host}: {p}" for host, p in hosts.items()],
            hint="nothing was changed; make environments of one platform each, or deploy with --only to one at a time",
        )
    return next(iter(hosts.values()))


def _called(
    registry: Registry,
    repository: Repository,
    tag: str,
    check: Criteria,
    events: Events,
    platform: Platform | None = None,
) -> Release:
    """The release under `tag`, if every gate passes. A channel is resolved to the release that it names now."""
    examined = examine(registry, repository, tag, platform, check=check)
    examined.decision.require()
    bound = binding(examined.facts)
    if bound is None or bound.tag == tag:
        return examined.release
    events.note(f"{tag} is the release {bound.tag}")
    return find_release(registry, repository, bound.tag, platform, check=check)


def _lacks(registry: Registry, repository: Repository, tag: str, check: Criteria, platform: Platform) -> str:
    """Why an index that was released has no tested image for a platform; "" if something else is wrong."""
    try:
        examined = examine(registry, repository, tag, platform, check=check)
    except UnknownTag as error:
        return error.what
    tested = examined.decision.passed or examined.facts.results or not examined.facts.counted
    return "" if tested else "its image for that platform was not tested"
