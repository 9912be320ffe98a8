"""Deploy a release: exactly the image that was tested, to every host of an environment.

1. Select the hosts and the service (relman.app.deployments.rollouts, relman.app.environments).
2. Find the release under the tag, and verify it (relman.app.deployments.select_release).
3. Resolve its frozen deploy section with each host's variables (relman.config.deploy), and the values of its secrets
   (relman.app.deployments.secrets).
4. Make the plan from what is observed on the hosts, and check it before anything changes (relman.rollout.planning).
5. Change the hosts under their locks: images, tasks, waves, records (relman.rollout.operation).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from relman.app.context import Context
from relman.app.deployments.rollouts import Rollout, new_asked, require_all
from relman.app.deployments.secrets import given_to
from relman.app.deployments.select_release import release_for
from relman.app.environments import Request, repository_of, service_meant
from relman.app.factories import login_of, registry_of
from relman.app.policy import check_of, say_trust, served_in, skips_of
from relman.app.signing import reading_seal
from relman.config.deploy import Frozen, resolve_on
from relman.model.container import EngineFacts
from relman.model.errors import ConfigError, Problem, TagMoved, UsageError
from relman.model.grants.secrets import Given
from relman.model.host import Environment, Host
from relman.model.plan import Observed, Plan
from relman.model.run import Release
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import Deployed, kept_name
from relman.registry.client import Registry
from relman.registry.images import describe
from relman.rollout.fleet import Fleet
from relman.rollout.images.image_pull import Wanted
from relman.rollout.operation import Operation
from relman.rollout.planning import preflight
from relman.rollout.planning.max_hosts import require_few
from relman.rollout.planning.permissions import check_permissions
from relman.rollout.planning.planner import Asked, entry_of, plan_deploy


@contextmanager
def open_deployment(context: Context, request: Request, tag: str, skip_gates: Sequence[str] = ()) -> Iterator[Rollout]:
    """A deployment of the release under `tag` (a release or a channel), with the hosts connected.

    Raises what prevents it: PolicyRefused and its subclasses for the image, ConfigError for its settings, Failure for a
    host.
    """
    # Step 1.
    selected = request.selected(context)
    chosen = selected.environment
    name = service_meant(chosen, request.service)
    repository = repository_of(chosen, name)
    registry = registry_of(context, repository, chosen)
    asked = new_asked(context, request, name, selected)
    with Fleet(chosen, name) as fleet:
        # Step 2, while the hosts are being connected.
        served = served_in(context, chosen.demands.policy, request.inventories, name)
        skips = skips_of(context, skip_gates, request.reason)
        check = check_of(chosen.demands, reading_seal(chosen.demands), skips=skips, served=served)
        release = release_for(fleet, registry, repository, tag, check, context.events)
        say_trust(context.events, chosen.demands, chosen.name)
        for skip in release.skipped:
            context.events.warn(f"{release}: {skip}")
        if skip_gates:
            asked = replace(asked, reason="; ".join(release.skipped))
        # Step 3.
        _require_service(release, name)
        settings = _settings_of(release, name, chosen.hosts)
        require_few(settings.values(), {h.name: h.processes.get(name) for h in selected.whole.hosts})
        given = given_to(context, chosen, name, settings)
        require_all(fleet)
        for host, session in fleet.sessions.items():
            session.secrets = given.values.get(host, {})
            session.files = {file.digest: release.files[file.name] for file in settings[host].every_file}
        # Steps 4 and 5, when the caller carries it out.
        operation = Operation(
            asked=asked,
            plan=partial(_plan, asked, release, settings, given, chosen),
            message=f"deploying {name} {release.tag}",
            before_change=partial(_require_unmoved, registry, release),
            wanted=_wanted(asked, release, settings),
            login=login_of(context, repository),
            wait_lock=request.wait_lock,
        )
        yield Rollout(context, fleet, operation)


def _require_service(release: Release, service: str) -> None:
    """Raise UsageError if the image belongs to another service."""
    if release.service and release.service != service:
        raise UsageError(f"{release} is an image of {release.service}, not of {service}")


def _settings_of(release: Release, service: str, hosts: Sequence[Host]) -> dict[str, DeploySettings]:
    """The release's deploy section resolved for each host. Raises ConfigError with the problems of all hosts."""
    settings: dict[str, DeploySettings] = {}
    problems: list[Problem] = []
    for host in hosts:
        origin = f"the label of {release}, for {host.name}"
        try:
            settings[host.name] = resolve_on(host, service, Frozen(release.deploy, release.files), origin=origin)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings


def _plan(
    asked: Asked,
    release: Release,
    settings: dict[str, DeploySettings],
    given: Given,
    chosen: Environment,
    seen: Sequence[Observed],
) -> Plan:
    routes = {host.name: host.routes[asked.service] for host in chosen.hosts if asked.service in host.routes}
    plan = check_permissions(plan_deploy(asked, release, settings, seen, given, routes), chosen)
    preflight.check(plan, seen, release)
    return plan


def _wanted(asked: Asked, release: Release, settings: dict[str, DeploySettings]) -> Wanted:
    """The image for every host that the plan will not refuse."""

    def entry(host: str, facts: EngineFacts) -> Deployed | None:
        return entry_of(asked, release, settings[host], facts) if preflight.fits(release, facts) else None

    return Wanted((kept_name(asked.environment, asked.service), str(release.repository)), entry)


def _require_unmoved(registry: Registry, release: Release) -> None:
    now = describe(registry, release.repository, release.tag, release.platform).manifest.digest
    if now != release.manifest:
        raise TagMoved(
            f"the tag {release} moved while the plan was made: {release.manifest} before, {now} now",
            hint="a release tag never moves: find out who moved it",
        )
