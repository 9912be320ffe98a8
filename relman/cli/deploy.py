"""relman deploy TAG -e ENV: make the release under TAG serve on every host of the environment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import click

from relman.cli import fleets
from relman.cli.candidate import release_for
from relman.cli.compose import login_of, registry_of
from relman.cli.environments import open_selected, repository_of, service_here, service_of
from relman.cli.gates import check_of, say_trust, served_in, skip_option, skips_of
from relman.cli.options import environment_options, rollout_options
from relman.cli.signing import reading_seal
from relman.cli.verb import Context, verb
from relman.config.deploy import resolve
from relman.model.container import EngineFacts
from relman.model.errors import ConfigError, Problem, TagMoved, UsageError
from relman.model.host import Host
from relman.model.plan import Observed, Plan
from relman.model.record import Deployed, kept_name
from relman.model.run import Release
from relman.model.settings import DeploySettings
from relman.registry.client import Registry
from relman.registry.images import describe
from relman.rollout.fleet import Fleet
from relman.rollout.image_pull import Wanted
from relman.rollout.operation import Operation
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import Asked, entry_of, plan_deploy


@verb("deploy")
@click.argument("tag")
@environment_options
@rollout_options
@skip_option
def deploy(
    context: Context,
    tag: str,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    reason: str | None,
    wait_lock: float,
    max_unavailable: str | None,
    plan_only: bool,
    yes: bool,
    skip_gates: Sequence[str],
) -> None:
    """Deploy a release: exactly the image that was tested.

    One host after the other, as relman.yml says.
    """
    selected = open_selected(context, environment, inventories, only, exclude, reason)
    chosen = selected.environment
    name = service_of(chosen, service or (service_here(chosen) if len(chosen.services) > 1 else None))
    repository = repository_of(chosen, name)
    registry = registry_of(context, repository, chosen)
    login = login_of(context, repository)
    asked = fleets.new_asked(name, chosen, max_unavailable, selected.left_out, reason)
    with Fleet(chosen, name) as fleet:
        # While the connections come up.
        served = served_in(context, chosen.demands.policy, inventories, name)
        check = check_of(
            chosen.demands, reading_seal(chosen.demands), skips=skips_of(skip_gates, reason), served=served
        )
        release = release_for(fleet, registry, repository, tag, check, context.output)
        say_trust(context.output, chosen.demands, chosen.name)
        for skip in release.skipped:
            context.output.warn(f"{release}: {skip}")
        if skip_gates:
            asked = replace(asked, reason="; ".join(release.skipped))
        require_service(release, name)
        settings = settings_of(release, chosen.hosts)
        fleets.require_all(fleet)

        def make(cancel: threading.Event, screen: fleets.Screen, planned: Callable[[Plan], None]) -> Operation:
            return Operation(
                asked=asked,
                plan=partial(_plan, asked, release, settings, chosen.local_commands),
                message=f"deploying {name} {release.tag}",
                watcher=screen,
                cancel=cancel,
                planned=planned,
                before_change=partial(_require_unmoved, registry, release),
                wanted=_wanted(asked, release, settings),
                login=login,
                wait_lock=wait_lock,
            )

        fleets.carry_out(context, fleet, make, plan_only=plan_only, yes=yes, note=asked.reason)


def require_service(release: Release, service: str) -> None:
    """Raise UsageError when the image says that it is another service's."""
    if release.service and release.service != service:
        raise UsageError(f"{release} is an image of {release.service}, not of {service}")


def settings_of(release: Release, hosts: Sequence[Host]) -> dict[str, DeploySettings]:
    """The release's frozen deploy section with each host's variables. Raises ConfigError with every host's problems."""
    settings: dict[str, DeploySettings] = {}
    problems: list[Problem] = []
    for host in hosts:
        origin = f"the label of {release}, for {host.name}"
        try:
            settings[host.name] = resolve(
                release.deploy, host.variables, host.env, origin=origin, secret=host.secret_variables
            )
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings


def _plan(
    asked: Asked, release: Release, settings: dict[str, DeploySettings], local: bool, seen: Sequence[Observed]
) -> Plan:
    plan = plan_deploy(asked, release, settings, seen)
    preflight.check_local(plan, local)
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
