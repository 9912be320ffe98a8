"""Select the releases that a list shows, reading no more of the registry than necessary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relman.app.releases.listing import ListedImage, in_order, rows
from relman.evidence.listing import ListedRelease, Listing
from relman.model.service import ReleaseRules


@dataclass(frozen=True)
class Wish:
    """The number of images, their order (by tag, or `by_date`), and what runs: `manifests` and `releases` by host."""

    limit: int
    by_date: bool
    manifests: Mapping[str, str]
    releases: Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """The rows, the total number of images as far as known (Listing.count), and the refusals of other tags in the
    rows."""

    rows: Sequence[ListedImage]
    total: int
    refused: Mapping[str, str]


def select(listing: Listing, rules: ReleaseRules, wish: Wish) -> Selection:
    """Read tags in order until there are enough images, and their other tags as far as the evidence or the rules name
    them."""
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
        """Read these tags, and other tags of their images."""
        entries = self._listing.read(tags)
        named = {name for entry in entries for name in entry.named} | {*self._rules.channels}
        if self._wish.by_date:
            named |= {*self.unread}  # all tags are resolved already
        others = [tag for tag in self.unread if tag in named and tag not in tags]
        aliases = self._listing.aliases(others)
        self.entries += [*entries, *self._listing.read(aliases)]
        self.unread = [tag for tag in self.unread if tag not in {*tags, *aliases}]
        self.rows = rows(self.entries, self._rules, self._wish.manifests)
