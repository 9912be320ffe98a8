"""Rows of a list of releases: one for each image, its release tag first, with the hosts that run it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from relman.evidence.listing import ListedRelease
from relman.evidence.test_result import TestResult
from relman.model.formats.tag_order import natural
from relman.model.service import ReleaseRules

_FIELD = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class ListedImage:
    """One image of the registry. `tag` is its release, `others` are all other tags that name it now, of which
    `channels` move on with a later release; `hosts` run it."""

    tag: str
    others: tuple[str, ...]
    channels: tuple[str, ...]
    listed: ListedRelease
    hosts: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """All its tags."""
        return (self.tag, *self.others)


def rows(listed: Sequence[ListedRelease], rules: ReleaseRules, running: Mapping[str, str]) -> list[ListedImage]:
    """The images under these tags, in the order of the list. `running` maps each host to the manifest it runs."""
    place = {id(entry): number for number, entry in enumerate(listed)}
    by_image = sorted(listed, key=lambda entry: entry.release.manifest)
    images = [list(same) for _, same in groupby(by_image, key=lambda entry: entry.release.manifest)]
    images.sort(key=lambda same: min(place[id(entry)] for entry in same))
    return [_row(same, rules, running) for same in images]


def in_order(tags: Sequence[str], rules: ReleaseRules, created: Mapping[str, str] | None = None) -> list[str]:
    """The tags in natural order, highest first and channels last; with `created` (RFC 3339 of every tag that is an
    image), newest first."""
    known = [tag for tag in tags if created is None or tag in created]
    by_tag = sorted(known, key=lambda tag: (not is_channel(tag, rules, None), natural(tag)), reverse=True)
    return by_tag if created is None else sorted(by_tag, key=lambda tag: created[tag], reverse=True)


def is_channel(tag: str, rules: ReleaseRules, evidence: TestResult | None) -> bool:
    """Whether `tag` is a channel by the rules, and not a tag that the release template makes."""
    if tag in rules.channels:
        return True
    known = _known(evidence)
    return any(_made(channel, tag, {}) for channel in rules.channels) and not (known and _made(rules.tag, tag, known))


def _row(same: Sequence[ListedRelease], rules: ReleaseRules, running: Mapping[str, str]) -> ListedImage:
    known = _known(same[0].evidence)
    channels = {e.tag for e in same if is_channel(e.tag, rules, e.evidence)}
    ordered = sorted(same, key=lambda e: (e.tag in channels, not _made(rules.tag, e.tag, known), e.tag))
    first, *others = (entry.tag for entry in ordered)
    hosts = tuple(host for host, manifest in running.items() if manifest == str(same[0].release.manifest))
    return ListedImage(first, tuple(others), tuple(t for t in (first, *others) if t in channels), ordered[0], hosts)


def _known(evidence: TestResult | None) -> dict[str, str]:
    """The known fields of a tag template, from the tested run's name."""
    build = evidence.run.rpartition("/")[2] if evidence else ""
    return {"build": build} if build else {}


def _made(template: str, tag: str, known: Mapping[str, str]) -> bool:
    """Whether the template can have made the tag; unknown fields match anything."""
    parts = _FIELD.split(template)
    pattern = "".join(
        re.escape(known[part]) if number % 2 and part in known else ".+" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    return re.fullmatch(pattern, tag) is not None
