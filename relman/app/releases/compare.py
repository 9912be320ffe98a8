"""Compare two releases for an environment: their commits, images and evidence, and the settings of each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from relman.app.context import Context, Events
from relman.app.environments import Request, repository_of, service_meant
from relman.app.factories import environment as load_environment
from relman.app.factories import registry_of
from relman.app.image_target import reference_of
from relman.app.policy import check_of, say_trust
from relman.app.releases.serving import Serving, serving_release
from relman.app.signing import reading_seal
from relman.config.deploy import Frozen, resolve_on
from relman.evidence.assessment import Criteria
from relman.evidence.gates.statements import binding
from relman.evidence.release import examined, is_text, release_of
from relman.evidence.store import look
from relman.evidence.test_result import TestResult
from relman.local.git import LoggedCommit, commits_between
from relman.model.container import DIRTY
from relman.model.errors import ConfigError, PolicyRefused, UnknownTag
from relman.model.host import Host
from relman.model.image import ManifestDigest, Platform, Repository
from relman.model.image_config import BASE_DIGEST, BASE_NAME, SOURCE
from relman.model.policy import Demands
from relman.model.run import Release
from relman.model.settings import DeploySettings
from relman.model.settings_diff import Changed, differences, rollout_differences
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, describe
from relman.registry.manifest import digest_in, size_in


@dataclass(frozen=True)
class ComparedRelease:
    """One side of a comparison: what a release's image says of itself.

    `evidence` is the newest test result of the image, and `refusal` why it may not be deployed, by the rules that every
    deployment keeps. `layers` are the sizes of its compressed layers in bytes, by digest. `platform` is None if the
    registry has no such image any more: then only `tag`, `manifest` and `commit` are known, from the hosts.
    """

    tag: str
    manifest: ManifestDigest
    commit: str = ""
    dirty: bool = False
    source: str = ""
    base: str = ""
    base_digest: str = ""
    created: str = ""
    layers: Mapping[str, int] = field(default_factory=dict)
    evidence: TestResult | None = None
    refusal: str = ""
    platform: Platform | None = None
    deploy: Frozen = field(default_factory=lambda: Frozen({}))

    @property
    def size(self) -> int:
        """What a host without any of its layers pulls, in bytes."""
        return sum(self.layers.values())


@dataclass(frozen=True)
class SettingsOfHost:
    """What differs on one host: the settings that need new containers, as a plan shows them, and the keys of those of
    the rollout. `problem` is why the settings of one of the releases are not known there."""

    host: str
    changes: tuple[Changed, ...] = ()
    rollout: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two releases of a service, and what differs between them. `serving` are the records of the hosts, if they were
    asked for the old one; `commits` is None if no checkout here has both."""

    service: str
    environment: str
    old: ComparedRelease
    new: ComparedRelease
    hosts: Sequence[SettingsOfHost]
    commits: Sequence[LoggedCommit] | None
    serving: Serving | None = None

    @property
    def new_bytes(self) -> int:
        """What a host that has the old image pulls for the new one."""
        return sum(size for digest, size in self.new.layers.items() if digest not in self.old.layers)


def compare(
    context: Context, request: Request, new: str, old: str | None = None, platform: Platform | None = None
) -> Comparison:
    """Compare two tags or digests; without `old`, what serves now by the records of the hosts is compared.

    Nothing is changed. A release without evidence is compared, too. Raises UnknownTag, UsageError, ConfigError, what
    the registry raises, and what `serving_release` raises.
    """
    chosen = load_environment(context, request.environment, request.inventories)
    name = service_meant(chosen, request.service)
    repository = repository_of(chosen, name)
    # The policy is not evaluated, because it may depend on hosts and time; `relman gate` does that for one release.
    check = check_of(Demands(chosen.demands.trust), reading_seal(chosen.demands))
    with registry_of(context, repository, chosen) as registry:
        side = partial(_compared, context.events, registry, repository, check)
        if old is None:
            serving = serving_release(chosen, name)
            before = _served(side, serving)
            after = side(reference_of(repository, new), platform or before.platform)
        else:
            serving = None
            before, after = (side(reference_of(repository, tag), platform) for tag in (old, new))
    say_trust(context.events, chosen.demands, chosen.name)
    recorded = serving.settings if serving else {}
    there = [host for host in chosen.hosts if not recorded or host.name in recorded]
    hosts = [_on(host, name, before, after, recorded.get(host.name)) for host in there]
    commits = commits_between(Path(), before.commit, after.commit)
    return Comparison(name, chosen.name, before, after, hosts, commits, serving)


def _served(side: partial[ComparedRelease], serving: Serving) -> ComparedRelease:
    """The release that serves: its image if the registry has it, else what the hosts know."""
    try:
        return side(serving.manifest, None, called=serving.release)
    except UnknownTag as error:
        return ComparedRelease(serving.release, serving.manifest, serving.commit, refusal=error.what)


def _compared(
    events: Events,
    registry: Registry,
    repository: Repository,
    check: Criteria,
    reference: str | ManifestDigest,
    platform: Platform | None,
    called: str = "",
) -> ComparedRelease:
    image = describe(registry, repository, reference, platform)
    release = release_of(repository, called or str(reference), image)
    found = examined(release, image, check, partial(look, registry, repository))
    bound = binding(found.facts)
    if bound and bound.tag != release.tag:
        events.note(f"{release.tag} is the release {bound.tag}")
    known = _described(replace(release, tag=bound.tag) if bound else release, image)
    try:
        found.decision.require()
    except PolicyRefused as refusal:
        return replace(known, evidence=found.facts.result, refusal=refusal.what)
    return replace(known, evidence=found.facts.result)


def _described(release: Release, image: ImageDescription) -> ComparedRelease:
    said = {name: text for name, text in image.labels.items() if is_text(text)}
    return ComparedRelease(
        tag=release.tag,
        manifest=release.manifest,
        commit=release.commit,
        dirty=said.get(DIRTY) == "true",
        source=said.get(SOURCE, ""),
        base=said.get(BASE_NAME, ""),
        base_digest=said.get(BASE_DIGEST, ""),
        created=release.created,
        layers={str(digest_in(layer)): size_in(layer) for layer in image.manifest.list_of("layers")},
        platform=release.platform,
        deploy=Frozen(release.deploy, release.files),
    )


def _on(
    host: Host, service: str, old: ComparedRelease, new: ComparedRelease, recorded: DeploySettings | None
) -> SettingsOfHost:
    """The difference on one host; what it has `recorded` are the old settings."""
    try:
        before = recorded or _settings(old, service, host)
        after = _settings(new, service, host)
    except ConfigError as error:
        return SettingsOfHost(host.name, problem="; ".join(map(str, error.problems)))
    return SettingsOfHost(host.name, differences(before, after), rollout_differences(before, after))


def _settings(side: ComparedRelease, service: str, host: Host) -> DeploySettings:
    return resolve_on(host, service, side.deploy, origin=f"the label of {service}:{side.tag}")
