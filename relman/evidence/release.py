"""Find a release in the registry, and verify that it may be deployed.

The steps of verification, each marked where it is done:

1. Resolve the tag to a digest, and read the image's configuration (`examine`).
2. Read its frozen deploy section, and refuse broken labels (`release_of`).
3. Fetch the envelopes beside the digest, within bounds (store.py).
4. Check the signatures (envelopes.py, called by assessment.py).
5. Read each statement, and check that its subject is this image (assessment.py).
6. Check the key's grants, revocation and validity (trust.py, called by assessment.py).
7. Check that the newest test result is of this configuration and passed (gates/judge.py).
8. Check that a release statement binds repository, tag and digest (gates/judge.py).
9. Check that no statement was deleted (gates/judge.py).
10. Evaluate the policy (gates/judge.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from relman.evidence import store
from relman.evidence.assessment import Criteria, Facts, Subject, gather
from relman.evidence.gates.judge import Decision, judge
from relman.evidence.gates.statements import binding
from relman.evidence.store import Stored
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.errors import PolicyRefused
from relman.model.files import contents_in
from relman.model.image import ManifestDigest, Platform, Repository, check_tag
from relman.model.image_config import REVISION
from relman.model.run import Release
from relman.registry.client import Registry
from relman.registry.images import MAX_TEXT, ImageDescription, describe
from relman.registry.strictjson import load_object

MAX_DEPLOY_SECTION = 1 << 20
_AGAIN = "Build and release it again."


@dataclass(frozen=True)
class Examined:
    """A release, the facts about it, and the decision of the gates."""

    release: Release
    facts: Facts
    decision: Decision


def find_release(
    registry: Registry,
    repository: Repository,
    reference: str | ManifestDigest,
    platform: Platform | None = None,
    *,
    check: Criteria | None = None,
) -> Release:
    """Return the release under a tag or digest, for `platform` (None: the only one), if every gate passes.

    Its `manifest` is the digest to pull: the platform's own manifest, also inside an index. Raises UnknownTag,
    NoEvidence or PolicyRefused if it may not be deployed, and what Registry raises. A release of one manifest with two
    statements takes at most 8 requests.
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
    check: Criteria | None = None,
    called: str = "",
) -> Examined:
    """Like `find_release`, but return the decision instead of raising it. `called` is the release tag of an image that
    is named by digest."""
    check = check or Criteria()
    if not isinstance(reference, ManifestDigest):
        check_tag(reference)
    # Steps 1 and 2.
    image = describe(registry, repository, reference, platform)
    release = release_of(repository, str(called or reference), image)
    return examined(release, image, check, partial(store.look, registry, repository))


def release_of(repository: Repository, tag: str, image: ImageDescription) -> Release:
    """Build the release from the image's own configuration. Raises PolicyRefused if a label of relman's is broken."""
    name = f"{repository.name}:{tag}"
    return Release(
        repository=repository,
        tag=tag,
        manifest=image.manifest.digest,
        config=image.config,
        platform=image.platform,
        deploy=_deploy_section(image, name),
        files=_files(image, name),
        volumes=image.volumes,
        has_healthcheck=image.has_healthcheck,
        entrypoint=image.entrypoint,
        service=_label(image, SERVICE_NAME, name),
        commit=_label(image, REVISION, name),
        created=image.created,
    )


def subject_of(release: Release, image: ImageDescription) -> Subject:
    """The subject of a judgement of this release."""
    digest = release.tag.startswith("sha256:")
    return Subject(
        release.repository, release.manifest, image.resolved.digest, release.config, None if digest else release.tag
    )


def examined(
    release: Release, image: ImageDescription, check: Criteria, look: Callable[[ManifestDigest], Stored]
) -> Examined:
    """Judge a release whose image is `image`; `look` reads what is stored beside a digest (steps 3 to 10)."""
    subject = subject_of(release, image)
    # Steps 3, and 4 to 6.
    stored = look(subject.resolved)
    facts = gather(stored.opened(check.seal), subject, check, stored.missing)
    decision = judge(facts, check, deploying=True)  # steps 7 to 10
    if not decision.passed and subject.manifest != subject.resolved:
        # Other tools may have attached statements to the platform's manifest instead of the index.
        further = look(subject.manifest)
        missing = (*stored.missing, *further.missing)
        stored = replace(stored, envelopes=(*stored.envelopes, *further.envelopes), missing=missing)
        facts = gather(stored.opened(check.seal), subject, check, stored.missing)
        decision = judge(facts, check, deploying=True)
    bound = binding(facts)
    skipped = (*(bound.skipped if bound else ()), *decision.skipped)
    return Examined(replace(release, skipped=tuple(map(str, skipped))), facts, decision)


def is_text(text: str) -> bool:
    """Whether a label's value is printable and at most MAX_TEXT characters long."""
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


def _files(image: ImageDescription, name: str) -> Mapping[str, bytes]:
    try:
        return contents_in(image.labels)
    except ValueError as error:
        raise PolicyRefused(f"the files in the labels of {name} cannot be read: {error}", hint=_AGAIN) from error
