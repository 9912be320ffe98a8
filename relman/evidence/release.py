"""A release as the registry knows it: a tag, its digest, its frozen deploy section, and the evidence for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from relman.evidence import store
from relman.evidence.assessment import Check, Facts, Subject, gather
from relman.evidence.gates.judge import Decision, judge
from relman.evidence.gates.statements import binding
from relman.evidence.store import Stored
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.errors import PolicyRefused
from relman.model.image import ManifestDigest, Platform, Repository, check_tag
from relman.model.run import Release
from relman.registry.client import Registry
from relman.registry.images import MAX_TEXT, ImageDescription, describe
from relman.registry.strictjson import load_object

RUN_TAGS = "run-"
MAX_DEPLOY_SECTION = 1 << 20
_REVISION = "org.opencontainers.image.revision"
_AGAIN = "Build and release it again."


@dataclass(frozen=True)
class Examined:
    """A release, all that is known of it, and what the gates say."""

    release: Release
    facts: Facts
    decision: Decision


def find_release(
    registry: Registry,
    repository: Repository,
    reference: str | ManifestDigest,
    platform: Platform | None = None,
    *,
    check: Check | None = None,
) -> Release:
    """The release under a tag or digest, for `platform` (None: the only one), if every gate lets it pass.

    Its `manifest` is the digest to pull: that of the platform's own manifest, also inside an index. Raises UnknownTag,
    NoEvidence or PolicyRefused when it may not be deployed, and what Registry raises. At most 8 requests for a release
    of one manifest with its two statements.
    """
    examined = examine(registry, repository, reference, platform, check=check)
    examined.decision.require()
    return examined.release


def examine(
    registry: Registry,
    repository: Repository,
    reference: str | ManifestDigest,
    platform: Platform | None = None,
    *,
    check: Check | None = None,
    called: str = "",
) -> Examined:
    """As `find_release`, but what the gates say is for the caller to read. `called` is the tag under which the image of
    a digest was released."""
    check = check or Check()
    if not isinstance(reference, ManifestDigest):
        check_tag(reference)
    image = describe(registry, repository, reference, platform)
    release = release_of(repository, str(called or reference), image)
    return examined(release, image, check, partial(store.look, registry, repository))


def release_of(repository: Repository, tag: str, image: ImageDescription) -> Release:
    """What `image` says of itself. Raises PolicyRefused if a label of relman's (its deploy section, …) is broken."""
    name = f"{repository.name}:{tag}"
    return Release(
        repository=repository,
        tag=tag,
        manifest=image.manifest.digest,
        config=image.config,
        platform=image.platform,
        deploy=_deploy_section(image, name),
        volumes=image.volumes,
        has_healthcheck=image.has_healthcheck,
        entrypoint=image.entrypoint,
        service=_label(image, SERVICE_NAME, name),
        commit=_label(image, _REVISION, name),
        created=image.created,
    )


def subject_of(release: Release, image: ImageDescription) -> Subject:
    """What is judged when this release is."""
    digest = release.tag.startswith("sha256:")
    return Subject(
        release.repository, release.manifest, image.resolved.digest, release.config, None if digest else release.tag
    )


def examined(
    release: Release, image: ImageDescription, check: Check, look: Callable[[ManifestDigest], Stored]
) -> Examined:
    """What the gates say of a release, which is `image`; `look` reads what is stored beside a digest."""
    subject = subject_of(release, image)
    stored = look(subject.resolved)
    facts = gather(stored.opened(check.seal), subject, check, stored.missing)
    decision = judge(facts, check, deploying=True)
    if not decision.passed and subject.manifest != subject.resolved:
        # Others may have put statements beside the manifest alone.
        further = look(subject.manifest)
        missing = (*stored.missing, *further.missing)
        stored = replace(stored, envelopes=(*stored.envelopes, *further.envelopes), missing=missing)
        facts = gather(stored.opened(check.seal), subject, check, stored.missing)
        decision = judge(facts, check, deploying=True)
    bound = binding(facts)
    skipped = (*(bound.skipped if bound else ()), *decision.skipped)
    return Examined(replace(release, skipped=tuple(map(str, skipped))), facts, decision)


def is_text(text: str) -> bool:
    """Whether a label is short, and fit to be shown."""
    return len(text) <= MAX_TEXT and text.isprintable()


def _label(image: ImageDescription, label: str, name: str) -> str:
    text = image.labels.get(label, "")
    if not is_text(text):
        raise PolicyRefused(
            f"the label {label} of {name} is longer than {MAX_TEXT} characters, or not printable", hint=_AGAIN
        )
    return text


def _deploy_section(image: ImageDescription, name: str) -> Mapping[str, Any]:
    text = image.labels.get(DEPLOY_SECTION)
    if text is None:
        return {}
    try:
        return load_object(text.encode(), limit=MAX_DEPLOY_SECTION)
    except ValueError as error:
        raise PolicyRefused(
            f"the deploy section in the label {DEPLOY_SECTION} of {name} cannot be read: {error}",
            hint=_AGAIN,
        ) from error
