"""Make a release of a tested image: evidence first, then the tag, so that no crash leaves a tag without evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from relman.evidence import store
from relman.evidence.assessment import Counted, Criteria, Subject, count, gather
from relman.evidence.attach import Addition, write
from relman.evidence.attest import statement_for
from relman.evidence.dsse import BUNDLE, IN_TOTO
from relman.evidence.envelopes import Envelope, Opened
from relman.evidence.gates.judge import Decision, judge
from relman.evidence.gates.statements import first_released
from relman.evidence.gates.test_results import TESTS_PASSED
from relman.evidence.release import release_of, subject_of
from relman.evidence.rules import RuleName
from relman.evidence.store import Stored, run_parallel
from relman.evidence.verification_summary import release_statement, same
from relman.model.errors import PolicyRefused, UsageError
from relman.model.formats.clock import rfc3339
from relman.model.image import ConfigDigest, ImageRef, ManifestDigest, Platform, Repository, check_tag
from relman.model.policy import Skip
from relman.model.release_tag import OWN_TAGS
from relman.model.run import Release, TestReport
from relman.registry.blobs import RepositoryClient
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, describe_resolved
from relman.registry.manifest import Manifest
from relman.registry.retag import put_free, stands


def promote(
    registry: Registry,
    repository: Repository,
    *,
    source: str | ManifestDigest | ImageDescription,
    report: TestReport | None,
    release_tag: str,
    channels: Sequence[str] = (),
    platform: Platform | None = None,
    check: Criteria | None = None,
) -> Release:
    """Release the image `source`, which the registry has, as `release_tag`, and move `channels` to it.

    The registry's image must be the one that `report` tested. Without a report, the test result stored beside the image
    counts, for its image for `platform`. Everything is checked before anything is written, in this order:

    1. the names are usable, and the tests passed in exactly this image;
    2. the release tag is free, or names this digest already;
    3. the gates pass (relman/evidence/gates/judge.py);
    4. the statements are stored beside the image;
    5. the release tag is put, then the channels.

    A second run, also after a crash, completes what is missing; a channel that a later release has taken stays there.
    An image with one channel takes at most 30 requests. Raises PolicyRefused if tests or gates fail, TagMoved if the
    release tag names another digest, UnknownTag, UsageError, and what Registry raises.
    """
    check = check or Criteria()
    # Step 1, concurrently with step 2: the names, and what was tested.
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
    image, _, *stored = run_parallel(
        [
            tested,
            partial(stands, registry, repository, resolved, release_tag),
            partial(store.look, registry, repository, resolved.digest, eager=True),
        ]
    )
    release = release_of(repository, release_tag, image)
    if image.manifest != resolved:
        stored.append(store.look(registry, repository, image.manifest.digest, eager=True))
    # Step 3: the gates.
    decision, envelopes, since = _prove(report, release, image, stored, channels, check)
    subjects = {m.digest: m for m in (resolved, image.manifest)}
    place = RepositoryClient(registry, repository)
    additions = [Addition.to(place, subjects[s.subject], s, envelopes) for s in stored]
    # Step 4: the statements; then the tag is read again, because another promotion may have taken it meanwhile.
    left, there = write(place, additions, partial(stands, registry, repository, resolved, release_tag))
    if there:
        stay = run_parallel([partial(_stays, place, c, subject_of(release, image), since, check) for c in channels])
        channels = [c for c, stays in zip(channels, stay, strict=True) if not stays]
    # Step 5: the tags.
    run_parallel([partial(_tag, place, resolved, None if there else release_tag, channels), *left])
    return replace(release, skipped=tuple(map(str, decision.skipped)), channels=tuple(channels))


def _stays(place: RepositoryClient, channel: str, subject: Subject, since: datetime | None, check: Criteria) -> bool:
    """Whether a channel names another image whose release was made after `since`, when this one was first released."""
    now = place.registry.find(place.repository, channel)
    if now is None or now.digest == subject.resolved:
        return False
    other = replace(subject, manifest=now.digest, resolved=now.digest, tag=None)
    stored = store.look(place.registry, place.repository, now.digest)
    made = first_released(gather(stored.opened(check.seal), other, check))
    return since is None or made is None or made >= since


def _tag(place: RepositoryClient, resolved: Manifest, release_tag: str | None, channels: Sequence[str]) -> None:
    """Put the release tag, unless it is None, and then the channels."""
    if release_tag:
        put_free(place.registry, place.repository, resolved, release_tag)
    run_parallel([partial(place.registry.put_manifest, place.repository, c, resolved) for c in channels])


def _reference(source: str | ManifestDigest | ImageDescription) -> str | ManifestDigest:
    return source.resolved.digest if isinstance(source, ImageDescription) else source


def require_tested(report: TestReport, config: ConfigDigest, name: str, skips: Sequence[Skip] = ()) -> None:
    """Raise PolicyRefused unless the tests passed, in the image with this `config`, which errors call `name`."""
    if not report.passed and TESTS_PASSED not in {s.gate for s in skips}:
        raise RuleName.PASSED.refuses(f"the tests of {report.run} failed")
    if config != report.config:
        raise PolicyRefused(
            f"{name} is {config}, what {report.run} tested is {report.config} (rule {RuleName.CONFIG})",
            hint="Push the tested image and promote that.",
        )


def check_names(release_tag: str, channels: Sequence[str]) -> None:
    """Raise UsageError if the release tag or a channel has a reserved prefix, or both have the same name."""
    for tag in (release_tag, *channels):
        if check_tag(tag).startswith(OWN_TAGS):
            raise UsageError(f"{tag} cannot be a release or a channel: {'… and '.join(OWN_TAGS)}… are taken")
    if release_tag in channels:
        raise UsageError(f"{release_tag} cannot be both a release and a channel: releases never move, channels do")


def _prove(
    report: TestReport | None,
    release: Release,
    image: ImageDescription,
    stored: Sequence[Stored],
    channels: Sequence[str],
    check: Criteria,
) -> tuple[Decision, tuple[Envelope, ...], datetime | None]:
    """Judge the image with the statements that are going to be beside it.

    Returns the decision, the envelopes of the test result and the release statement (stored ones where they exist), and
    since when the image has been this release, None if it was not. Raises PolicyRefused.
    """
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
    payload: bytes, there: Iterable[tuple[Envelope, Opened]], subject: Subject, check: Criteria
) -> tuple[Envelope, Counted]:
    """Return the stored envelope that contains this statement and counts, else a new one.

    An envelope that names its key is made again, because cosign 3 refuses it. Raises PolicyRefused if the new statement
    would not count.
    """
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
