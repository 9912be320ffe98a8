"""Copy a release to another repository: relman promote TAG --to REGISTRY/REPO."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from relman.app.context import Context, Events
from relman.app.factories import ledger, registry_of
from relman.app.identity import who
from relman.evidence.assessment import Criteria
from relman.evidence.copy import copy_with_evidence
from relman.evidence.promote import check_names, promote
from relman.evidence.release import find_release
from relman.model.errors import NoEvidence, PolicyRefused, UsageError
from relman.model.formats.clock import timestamp
from relman.model.image import Digest, ImageRef, Platform, Repository
from relman.model.run import Release
from relman.registry.blobs import RepositoryClient
from relman.registry.images import platforms
from relman.registry.manifest import Manifest
from relman.registry.retag import stands

_QUARTER = 0.25


@dataclass(frozen=True)
class Move:
    """What is copied where; `channels` are moved to the release in the target."""

    source: Repository
    tag: str
    target: Repository
    channels: tuple[str, ...] = ()
    service: str = ""


def to_elsewhere(context: Context, move: Move, check: Criteria) -> list[Release]:
    """Copy a release with its evidence, and release it in the target; returns one release for each tested platform.

    Everything is checked before anything is written: it is a release in the source, and the tag is free in the target.
    """
    check_names(move.tag, move.channels)
    if move.source == move.target:
        raise UsageError(f"{move.target} already has it", hint="Name another repository with --to.")
    with ExitStack() as stack:
        source, target = (
            RepositoryClient(stack.enter_context(registry_of(context, r)), r) for r in (move.source, move.target)
        )
        image = source.registry.resolve(source.repository, move.tag)
        tested = _tested(source, move.tag, image, check)
        stands(target.registry, target.repository, image, move.tag)
        context.events.heading(f"copy {ImageRef(move.source, move.tag)} to {move.target}")
        done = copy_with_evidence(source, target, image, Bytes(context.events))
        context.events.note(f"copied what was missing: {done}" if done else "everything was there already")
        made = [
            promote(
                target.registry,
                target.repository,
                source=image.digest,
                report=None,
                release_tag=move.tag,
                channels=move.channels,
                platform=platform,
                check=check,
            )
            for platform in tested
        ]
    _tell(context, move, made)
    return made


def _tested(source: RepositoryClient, tag: str, image: Manifest, check: Criteria) -> list[Platform | None]:
    """The platforms for which it is a release; [None] for an image outside an index. Raises PolicyRefused."""
    wanted: list[Platform | None] = list(platforms(image)) if image.is_index else [None]
    refusals: list[PolicyRefused] = []
    good: list[Platform | None] = []
    for platform in wanted:
        try:
            find_release(source.registry, source.repository, tag, platform, check=check)
            good.append(platform)
        except NoEvidence as refusal:
            refusals.append(refusal)
    if not good:
        raise refusals[0] if refusals else NoEvidence(f"{tag} has no tested image")
    return good


class Bytes:
    """Reports the progress of each blob, in quarters."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told: dict[Digest, int] = {}
        self._lock = threading.Lock()

    def __call__(self, digest: Digest, done: int, total: int) -> None:
        """`done` of `total` bytes are copied."""
        quarter = int(done / total / _QUARTER) if total else 4
        with self._lock:
            if self._told.get(digest, 0) >= quarter:
                return
            self._told[digest] = quarter
        self._events.note(f"{digest.short}: {quarter * _QUARTER:.0%} of {total / 1e6:.1f} MB")


def _tell(context: Context, move: Move, made: Sequence[Release]) -> None:
    for release in made:
        ledger(context).record_release(
            service=move.service or release.service,
            repository=str(move.target),
            tag=release.tag,
            manifest=str(release.manifest),
            run="",
            by=who(context.environ),
            at=timestamp(),
            reason="; ".join(release.skipped),
        )
        for skip in release.skipped:
            context.events.warn(f"{release}: {skip}")
        context.events.line(f"released {move.target}:{move.tag} ({release.platform}), digest {release.manifest}")
    context.events.json(
        "promote",
        {
            "repository": str(move.target),
            "release": move.tag,
            "channels": list(dict.fromkeys(channel for release in made for channel in release.channels)),
            "from": str(move.source),
            "images": [{"platform": str(r.platform), "manifest": str(r.manifest)} for r in made],
        },
    )
