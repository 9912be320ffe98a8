"""From a tested image to a release: evidence first, then the tag, so that no crash leaves a tag without evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from relman.evidence import store
from relman.evidence.assessment import Check, Counted, Subject, count, gather
from relman.evidence.attach import Addition, write
from relman.evidence.attest import statement_for
from relman.evidence.dsse import BUNDLE, IN_TOTO
from relman.evidence.envelopes import Envelope, Opened
from relman.evidence.gates.judge import Decision, judge
from relman.evidence.gates.statements import first_released
from relman.evidence.gates.test_results import TESTS_PASSED
from relman.evidence.release import RUN_TAGS, release_of, subject_of
from relman.evidence.rules import Rule
from relman.evidence.store import EVIDENCE_TAGS, Stored, at_once
from relman.evidence.untrusted import rfc3339
from relman.evidence.verification_summary import release_statement, same
from relman.model.errors import PolicyRefused, UsageError
from relman.model.image import ConfigDigest, ImageRef, ManifestDigest, Platform, Repository, check_tag
from relman.model.policy import Skip
from relman.model.run import Release, TestReport
from relman.registry.blobs import Place
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, describe_resolved
from relman.registry.manifest import Manifest
from relman.registry.retag import put_free, retag, stands


def promote(
    registry: Registry,
    repository: Repository,
    *,
    source: str | ManifestDigest | ImageDescription,
    report: TestReport | None,
    release_tag: str,
    channels: Sequence[str] = (),
    platform: Platform | None = None,
    check: Check | None = None,
) -> Release:
    """Make the image under `source`, which the registry holds already, the release `release_tag`; `channels` follow it.

    The registry's image must be the very one that `report` tested, or it is PolicyRefused; so is one whose tests
    failed, and one that the policy of `check` refuses. Without a report the test result that is beside the image
    counts, for its image for `platform`. A release tag that stands for another digest is TagMoved. All this is found
    before anything is written. Doing it again, also after a crash, completes what is missing; a channel that follows a
    later release by now stays there. An image with one channel takes at most 30 requests. Raises UnknownTag,
    UsageError, and what Registry raises.
    """
    check = check or Check()
    check_names(release_tag, channels)
    found = source if isinstance(source, ImageDescription) else None
    resolved = found.resolved if found else registry.resolve(repository, _reference(source))
    platform = report.platform if report else platform

    def tested() -> ImageDescription:
        image = found or describe_resolved(registry, repository, resolved, _reference(source), platform)
        if report:
            require_tested(report, image.config, str(ImageRef(repository, _reference(source))), check.skips)
        return image

    image: ImageDescription
    image, _, *stored = at_once(
        [
            tested,
            partial(stands, registry, repository, resolved, release_tag),
            partial(store.look, registry, repository, resolved.digest, eager=True),
        ]
    )
    release = release_of(repository, release_tag, image)
    if image.manifest != resolved:
        stored.append(store.look(registry, repository, image.manifest.digest, eager=True))
    decision, envelopes, since = _prove(report, release, image, stored, channels, check)
    subjects = {m.digest: m for m in (resolved, image.manifest)}
    place = Place(registry, repository)
    additions = [Addition.to(place, subjects[s.subject], s, envelopes) for s in stored]
    # Looked at again, because all this may have taken its time.
    left, there = write(place, additions, partial(stands, registry, repository, resolved, release_tag))
    if there:
        stay = at_once([partial(_stays, place, c, subject_of(release, image), since, check) for c in channels])
        channels = [c for c, stays in zip(channels, stay, strict=True) if not stays]
    at_once([partial(_tag, place, resolved, None if there else release_tag, channels), *left])
    return replace(release, skipped=tuple(map(str, decision.skipped)), channels=tuple(channels))


def _stays(place: Place, channel: str, subject: Subject, since: datetime | None, check: Check) -> bool:
    """Whether a channel stands for something else than a release that was made before `since`, when this one was."""
    now = place.registry.find(place.repository, channel)
    if now is None or now.digest == subject.resolved:
        return False
    other = replace(subject, manifest=now.digest, resolved=now.digest, tag=None)
    stored = store.look(place.registry, place.repository, now.digest)
    made = first_released(gather(stored.opened(check.seal), other, check))
    return since is None or made is None or made >= since


def _tag(place: Place, resolved: Manifest, release_tag: str | None, channels: Sequence[str]) -> None:
    """The release, unless it is there, and then the channels that follow it."""
    if release_tag:
        put_free(place.registry, place.repository, resolved, release_tag)
    at_once([partial(retag, place.registry, place.repository, resolved, c, moveable=True) for c in channels])


def _reference(source: str | ManifestDigest | ImageDescription) -> str | ManifestDigest:
    return source.resolved.digest if isinstance(source, ImageDescription) else source


def require_tested(report: TestReport, config: ConfigDigest, name: str, skips: Sequence[Skip] = ()) -> None:
    """Raise PolicyRefused unless the tests passed, and passed in the image of this config, called `name` in errors."""
    if not report.passed and TESTS_PASSED not in {s.gate for s in skips}:
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


def _prove(
    report: TestReport | None,
    release: Release,
    image: ImageDescription,
    stored: Sequence[Stored],
    channels: Sequence[str],
    check: Check,
) -> tuple[Decision, tuple[Envelope, ...], datetime | None]:
    """Judge what will be beside the image, and give the test result and the release statement in their envelopes: those
    that are there already, or new ones; and since when it has been this release, if it has."""
    subject = subject_of(release, image)
    there = [(e, o) for s in stored for e in s.envelopes if (o := check.seal.unwrap(e)) is not None]
    known = gather([o for _, o in there], subject, check, [name for s in stored for name in s.missing])
    made: list[tuple[Envelope, Counted]] = []
    if report:
        statement = statement_for(report, *subject.images, name=str(subject.repository), attested=rfc3339(check.now))
        made.append(_stated(statement, there, subject, check))
    counted = {c.payload: c for c in (*known.counted, *(c for _, c in made))}
    facts = replace(known, counted=tuple(counted.values()))
    decision = judge(facts, check, deploying=False)
    decision.require()
    inputs = [counted for result, counted in facts.results if result == facts.result]
    summary = release_statement(
        subject, check.policy, decision.verdicts, channels=channels, inputs=inputs, now=check.now
    )
    made.append(_stated(summary, there, subject, check))
    return decision, tuple(envelope for envelope, _ in made), first_released(known)


def _stated(
    payload: bytes, there: Iterable[tuple[Envelope, Opened]], subject: Subject, check: Check
) -> tuple[Envelope, Counted]:
    """The envelope that says this already and counts, else a new one; one that names its key is made anew, because
    cosign 3 refuses it. Raises PolicyRefused where what this seal makes would not count itself."""
    for envelope, opened in there:
        if envelope.media_type in (BUNDLE, IN_TOTO) and same(opened.payload, payload):
            with suppress(PolicyRefused):
                counted = count(opened, subject, check)
                if not (envelope.signed and envelope.signed.names_key):
                    return envelope, counted
                payload = opened.payload
    envelope = check.seal.wrap(payload)
    made = check.seal.unwrap(envelope)
    assert made is not None  # noqa: S101 - a seal opens what it made
    return envelope, count(made, subject, check)
