"""From a tested image to a release: evidence first, then the tag, so that no crash leaves a tag without evidence."""

from __future__ import annotations

from collections.abc import Sequence

from relman.evidence.release import RUN_TAGS, release_of
from relman.evidence.statement import Rule, statement_for
from relman.evidence.store import EVIDENCE_TAGS, UNSIGNED, Seal, attach
from relman.model.errors import PolicyRefused, UsageError
from relman.model.image import ConfigDigest, ImageRef, ManifestDigest, Repository, check_tag
from relman.model.run import Release, TestReport
from relman.registry.client import Registry
from relman.registry.images import describe
from relman.registry.release import retag, stands


def promote(
    registry: Registry,
    repository: Repository,
    *,
    source: str | ManifestDigest,
    report: TestReport,
    release_tag: str,
    channels: Sequence[str] = (),
    seal: Seal = UNSIGNED,
) -> Release:
    """Make the image under `source`, which the registry holds already, the release `release_tag`; `channels` follow it.

    The registry's image must be the very one that `report` tested, or it is PolicyRefused; so is one whose tests
    failed. A release tag that stands for another digest is TagMoved. All this is found before anything is written.
    Doing it again, also after a crash, completes what is missing. At most 20 requests with two channels. Raises
    UnknownTag, UsageError, and what Registry raises.
    """
    check_names(release_tag, channels)
    image = describe(registry, repository, source, report.platform)
    require_tested(report, image.config, str(ImageRef(repository, source)))
    release = release_of(repository, release_tag, image)
    stands(registry, repository, image.resolved, release_tag)
    statement = statement_for(report, release.manifest, name=str(repository))
    attach(registry, repository, image.manifest, seal.wrap(statement))
    retag(registry, repository, image.resolved, release_tag, moveable=False)
    for channel in channels:
        retag(registry, repository, image.resolved, channel, moveable=True)
    return release


def require_tested(report: TestReport, config: ConfigDigest, name: str) -> None:
    """Raise PolicyRefused unless the tests passed, and passed in the image of this config, called `name` in errors."""
    if not report.passed:
        raise Rule.PASSED.refuses(f"the tests of {report.run} failed")
    if config != report.config:
        raise PolicyRefused(
            f"{name} is {config}, what {report.run} tested is {report.config} (rule {Rule.CONFIG})",
            hint="Push the tested image and promote that.",
        )


def check_names(release_tag: str, channels: Sequence[str]) -> None:
    """Raise UsageError for tags that no release and no channel can have."""
    for tag in (release_tag, *channels):
        if check_tag(tag).startswith((RUN_TAGS, EVIDENCE_TAGS)):
            raise UsageError(f"{tag} cannot be a release or a channel: {RUN_TAGS}… and {EVIDENCE_TAGS}… are taken")
    if release_tag in channels:
        raise UsageError(f"{release_tag} cannot be both a release and a channel: releases never move, channels do")
