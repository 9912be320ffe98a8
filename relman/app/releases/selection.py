"""Which releases a list shows, so that it reads no more of the registry than it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relman.app.releases.listing import ListedImage, in_order, rows
from relman.evidence.listing import ListedRelease, Listing
from relman.model.service import ReleaseRules


@dataclass(frozen=True)
class Wish:
    """The first `limit` images by tag, the highest first, or `by_date` the newest first, and those that run:
    `manifests` maps each host to what it runs, `releases` to its release."""

    limit: int
    by_date: bool
    manifests: Mapping[str, str]
    releases: Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """What is shown, and how many images there are in all, as far as that is known (Listing.count). `refused` says of
    another tag of a row why it may not be deployed."""

    rows: Sequence[ListedImage]
    total: int
    refused: Mapping[str, str]


def select(listing: Listing, rules: ReleaseRules, wish: Wish) -> Selection:
    """Read so many tags in their order that there are enough images; the other tags of these come along, where the
    evidence or the rules name them or they are read anyway."""
    order = in_order(listing.tags, rules, listing.created(listing.tags) if wish.by_date else None)
    chosen = _Chosen(listing, rules, wish, order)
    while (missing := wish.limit - len(chosen.rows)) > 0 and (further := chosen.unread[:missing]):
        chosen.read(further)
    first = {row.listed.release.manifest for row in chosen.rows}
    chosen.read([tag for tag in chosen.unread if tag in wish.releases.values()])
    place = {tag: number for number, tag in enumerate(order)}
    found = sorted(chosen.rows, key=lambda row: place[row.tag])
    shown = [row for row in found if row.listed.release.manifest in first or row.hosts]
    others = {tag for row in shown for tag in row.others}
    refused = {e.tag: e.refusal for e in chosen.entries if e.tag in others and e.evidence is None}
    return Selection(shown, len(found) + listing.count(chosen.unread), refused)


class _Chosen:
    """What was read so far."""

    def __init__(self, listing: Listing, rules: ReleaseRules, wish: Wish, order: Sequence[str]) -> None:
        self._listing, self._rules, self._wish = listing, rules, wish
        self.unread = list(order)
        self.entries: list[ListedRelease] = []
        self.rows: list[ListedImage] = []

    def read(self, tags: Sequence[str]) -> None:
        """These tags, and the others of their images."""
        entries = self._listing.read(tags)
        named = {name for entry in entries for name in entry.named} | {*self._rules.channels}
        if self._wish.by_date:
            named |= {*self.unread}  # what each tag stands for is known anyway
        others = [tag for tag in self.unread if tag in named and tag not in tags]
        aliases = self._listing.aliases(others)
        self.entries += [*entries, *self._listing.read(aliases)]
        self.unread = [tag for tag in self.unread if tag not in {*tags, *aliases}]
        self.rows = rows(self.entries, self._rules, self._wish.manifests)
