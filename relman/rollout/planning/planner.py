"""Plan a deployment or a rollback, from what was observed. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from relman.model.container import EngineFacts
from relman.model.grants.secrets import NONE_GIVEN, Given
from relman.model.image import ImageId
from relman.model.plan import Action, Kind, Observed, Plan, Step, TaskRun
from relman.model.proxy import ServiceRoute
from relman.model.run import Release
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import Absence, Deployed, kept_name
from relman.model.strategy import Strategy, StrategyKind
from relman.rollout.planning.adoption import adopted
from relman.rollout.planning.kept_secrets import kept_secrets, older_secrets
from relman.rollout.planning.max_hosts import losers_first
from relman.rollout.planning.most import most_of
from relman.rollout.planning.rollback_target import agreed_target, before, crossed, named_target, unsafe_tasks
from relman.rollout.planning.step import step_of
from relman.rollout.planning.strategies import WAVES

NO_ROUTES: Mapping[str, ServiceRoute] = MappingProxyType({})


@dataclass(frozen=True)
class Asked:
    """What a person asked for, and when: the parts of a plan that are not observed on hosts.

    `id` is the deployment's, `at` is RFC 3339 in UTC. `max_unavailable` overrides the release's own. `left_out` maps
    excluded hosts to the reason. `several` is whether the environment has other services. `reason` is kept in the
    journals. `new_volumes` are volumes that may be made beside compose's of that name, `adopt` the names of containers
    of others that the service replaces.
    """

    id: str
    at: str
    by: str
    service: str
    environment: str
    max_unavailable: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    several: bool = False
    reason: str = ""
    new_volumes: frozenset[str] = frozenset()
    adopt: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """How a command names the target: `-e ENV`, with `--service` if the environment has several."""
        return f"-e {self.environment}" + (f" --service {self.service}" if self.several else "")


def bare_plan(asked: Asked, kind: Kind, release: str, unchanged: tuple[str, ...]) -> Plan:
    """A plan without waves, for commands that act on what they find on each host."""
    return Plan(asked.id, kind, asked.service, asked.environment, release, (), unchanged, place=asked.place)


def plan_deploy(
    asked: Asked,
    release: Release,
    settings: Mapping[str, DeploySettings],
    fleet: Sequence[Observed],
    given: Given = NONE_GIVEN,
    routes: Mapping[str, ServiceRoute] = NO_ROUTES,
) -> Plan:
    """Plan to make `release` serve on every host of `fleet`, each with its own `settings`, the secrets that it is
    `given`, and what its proxy routes to the service (`routes`), in the place of what it is asked to adopt. Raises
    PreflightFailed where that cannot be."""
    foreign = adopted(fleet, asked.adopt)
    hosts = tuple(o.host for o in fleet)
    steps: list[Step] = []
    unchanged: list[str] = []
    for seen in fleet:
        entry = entry_of(asked, release, settings[seen.host], seen.facts)
        kept = (each.secrets for each in reversed(seen.record.entries))
        route = routes.get(seen.host) if entry.settings.proxied else None
        entry = replace(entry, route=route, secrets=given.set_for(seen.host, asked.id, kept)).among(hosts)
        step = step_of(seen, entry, verify=True, foreign=foreign.get(seen.host, ()))
        if step:
            steps.append(step)
        else:
            unchanged.append(seen.host)
    first = settings[fleet[0].host]
    strategy, strange = _strategy(first.strategy, fleet)
    most = most_of(asked.max_unavailable or first.max_unavailable, steps)
    plan = Plan(
        id=asked.id,
        kind=Kind.DEPLOY,
        service=asked.service,
        environment=asked.environment,
        release=release.tag,
        waves=WAVES[strategy.kind](steps, strategy, most.value),
        unchanged=tuple(unchanged),
        warnings=strange + _warnings(steps, release) + doubled(steps, fleet),
        on_failure=first.on_failure,
        keep=first.keep,
        strategy=strategy.kind,
        max_failures=first.max_failures,
        tasks=_tasks(steps),
        hooks=first.hooks,
        left_out=_left_out(asked, release.tag, str(release.manifest)),
        place=asked.place,
        max_unavailable=most.value,
        by_default=most.why,
    )
    return losers_first(plan, most.value)


def plan_rollback(
    asked: Asked, fleet: Sequence[Observed], release: str | None = None, *, keep_secrets: bool = False
) -> Plan:
    """Plan the rollback to the release that the hosts agree on, or to the `release` that a person named.

    Each host returns by its own record. A record decides nothing for other hosts: the order and size of the waves come
    from the command or relman's defaults. With `keep_secrets` the release gets the values of secrets that serve now
    instead of its own. Raises PreflightFailed if the hosts disagree, one has no entry of the release, or lacks a secret
    that it needs.
    """
    where = (asked.place, tuple(asked.left_out))
    target = named_target(fleet, release, *where) if release else agreed_target(fleet, *where)
    entries = kept_secrets(target.entries, fleet) if keep_secrets else target.entries
    steps: list[Step] = []
    unchanged: list[str] = []
    for seen in fleet:
        step = step_of(seen, entries[seen.host], verify=False)
        if step:
            steps.append(replace(step, restores=before(seen.record.returned(step.entry), step.entry)))
        else:
            unchanged.append(seen.host)
    records = {o.host: o.record for o in fleet}
    over = {s.host: crossed(records[s.host], s.entry) for s in steps}
    crosses = unsafe_tasks(over)
    default = DeploySettings()
    most = most_of(asked.max_unavailable, steps)
    plan = Plan(
        id=asked.id,
        kind=Kind.ROLLBACK,
        service=asked.service,
        environment=asked.environment,
        release=target.release,
        waves=WAVES[StrategyKind.ROLLING](steps, Strategy(), most.value),
        unchanged=tuple(unchanged),
        warnings=(*_leaving(target.release, steps, over, crosses), *older_secrets(target.release, steps)),
        on_failure=default.on_failure,
        keep=default.keep,
        left_out=_left_out(asked, target.release, str(target.manifest)),
        crosses=crosses,
        place=asked.place,
        max_unavailable=most.value,
        by_default=most.why,
    )
    return losers_first(plan, most.value)


def _strategy(wanted: Strategy, fleet: Sequence[Observed]) -> tuple[Strategy, tuple[str, ...]]:
    """The strategy, and a warning: if no named canary is among the hosts, the first host is the canary."""
    hosts = {seen.host for seen in fleet}
    if wanted.kind is not StrategyKind.CANARY or not wanted.hosts or hosts & set(wanted.hosts):
        return wanted, ()
    text = f"none of the canaries is among these hosts ({', '.join(wanted.hosts)}): the first that changes is it"
    return replace(wanted, hosts=(), count="1"), (text,)


def _tasks(steps: Sequence[Step]) -> tuple[TaskRun, ...]:
    """The tasks of the release, each on the first host that gets a new container, or on all of them."""
    changing = [s for s in steps if s.action is not Action.VERIFY]
    found: list[TaskRun] = []
    for at, task in enumerate(changing[0].entry.settings.tasks if changing else ()):
        hosts = changing[:1] if task.once else changing
        found += [TaskRun(s.host, s.entry.settings.tasks[at]) for s in hosts]
    return tuple(found)


def _left_out(asked: Asked, release: str, manifest: str) -> tuple[Absence, ...]:
    return tuple(
        Absence(host, release, manifest, asked.by, asked.at, reason) for host, reason in asked.left_out.items()
    )


def _leaving(
    release: str, steps: Sequence[Step], over: Mapping[str, Sequence[Deployed]], crosses: Sequence[str]
) -> tuple[str, ...]:
    left = dict.fromkeys(own[-1].release for own in over.values() if own)
    warnings = [f"{each} will not count as proven good until someone deploys it by name" for each in left]
    if unproven := [s.host for s in steps if not s.entry.proven]:
        warnings.append(f"{release} is not proven good on {', '.join(unproven)}")
    if crosses:
        tasks = ", ".join(crosses)
        warnings.append(f"{release} may not work after these tasks, which are not marked rollback_safe: {tasks}")
    return tuple(warnings)


def entry_of(asked: Asked, release: Release, settings: DeploySettings, facts: EngineFacts) -> Deployed:
    """The record's entry for `release` on a host with this engine. Pure."""
    entry = Deployed(
        id=asked.id,
        release=release.tag,
        repository=release.repository,
        manifest=release.manifest,
        config=release.config,
        image_id=ImageId(release.config.value),
        kept_as=f"{kept_name(asked.environment, asked.service)}:{release.manifest.short}",
        settings=settings,
        container="",
        at=asked.at,
        by=asked.by,
        commit=release.commit,
        verified=any(run.health.probe != "none" for run in settings.runs),
        skipped=release.skipped,
        files=asked.id if settings.every_file else "",
    )
    return replace(entry, image_id=_image_id(entry, facts))


def _image_id(entry: Deployed, facts: EngineFacts) -> ImageId:
    return ImageId(entry.manifest.value if facts.containerd_store else entry.config.value)


def doubled(steps: Sequence[Step], fleet: Sequence[Observed]) -> tuple[str, ...]:
    """Warnings of containers that run beside those in place, and go with the change."""
    changing = {s.host for s in steps}
    return tuple(
        f"{o.host}: {c.name} also runs there, and will be removed" for o in fleet if o.host in changing for c in o.extra
    )


def _warnings(steps: Sequence[Step], release: Release) -> tuple[str, ...]:
    said: list[str] = []
    if any(not s.entry.verified for s in steps):
        said.append(f"{release} has no health check: it counts as unverified once it stays up")
    elif unchecked := dict.fromkeys(
        p.name for s in steps for p in s.entry.settings.parts if p.run.health.probe == "none"
    ):
        said.append(f"{', '.join(unchecked)} of {release} without a health check: it only has to stay up")
    if tasks := _tasks(steps):
        own = steps[0].entry.settings.container.entrypoint
        words, what = (
            (release.entrypoint, "the image has an ENTRYPOINT") if own is None else (own, "deploy sets an entrypoint")
        )
        names = ", ".join(dict.fromkeys(run.task.name for run in tasks))
        if words:
            said.append(
                f"{what} ({shlex.join(words)}), which gets the command of {names} as its arguments: make sure that it "
                "runs them"
            )
    return tuple(said)
