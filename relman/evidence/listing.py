"""List the releases of a repository, and whether each may be deployed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from relman.evidence.assessment import Criteria
from relman.evidence.gates.statements import names
from relman.evidence.release import Examined, examined, is_text, release_of
from relman.evidence.store import Stored, look
from relman.evidence.test_result import TestResult
from relman.model.container import DEPLOY_SECTION
from relman.model.errors import PolicyRefused, RegistryError, UsageError
from relman.model.files import is_label
from relman.model.image import ManifestDigest, Platform, Repository
from relman.model.release_tag import OWN_TAGS
from relman.model.run import Release
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, SeveralPlatforms, describe_resolved, platforms
from relman.registry.manifest import Manifest

_THREADS = 8
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ListedRelease:
    """A tag, and whether it may be deployed: `evidence` is the test result that lets it pass, `refusal` the reason
    against it. `named` are the tags and channels under which its image was released, by the statements that count."""

    tag: str
    release: Release
    evidence: TestResult | None
    refusal: str = ""
    named: tuple[str, ...] = ()


class Listing:
    """The releases in a repository.

    `tags` are all tags except those of runs and of evidence. Images and evidence are read on demand, each once: one
    request for a tag, two for an image, three to four for its evidence. The constructor and every method raise
    UnknownTag if the repository does not exist, and what Registry raises.
    """

    def __init__(
        self,
        registry: Registry,
        repository: Repository,
        *,
        platform: Platform | None = None,
        check: Criteria | None = None,
    ) -> None:
        self._registry, self._repository = registry, repository
        self._platform, self._check = platform, check or Criteria()
        self._all = registry.tags(repository)
        self.tags = tuple(t for t in self._all if not t.startswith(OWN_TAGS))
        self._manifests: dict[str, Manifest | None] = {}
        self._images: dict[ManifestDigest, tuple[ImageDescription, ...]] = {}
        self._stored: dict[ManifestDigest, Stored] = {}
        self._read: set[ManifestDigest] = set()

    def created(self, tags: Sequence[str]) -> dict[str, str]:
        """Map each tag to the build time of its image, RFC 3339 or ""; tags that are not images are omitted."""
        return {tag: max(image.created for image in images) for tag, images in self._described(tags).items() if images}

    def read(self, tags: Sequence[str]) -> list[ListedRelease]:
        """Judge these tags, in their order. A tag without an image for the platform is omitted; an index of several
        platforms is represented by one of its images, a deployable one if there is any."""
        described = self._described(tags)
        firsts = {self._digest(tag): tag for tag in reversed(tags) if described[tag]}
        listed = _each(lambda tag: (tag, self._listed(tag, described[tag])), firsts.values())
        self._read |= firsts.keys()
        known = dict(listed)
        # Other tags of the same images need no further request for evidence.
        return [known.get(tag) or self._listed(tag, described[tag]) for tag in tags if described[tag]]

    def aliases(self, tags: Collection[str]) -> list[str]:
        """Those of these tags that name an image which `read` has judged."""
        self._resolve(tags)
        return [tag for tag in tags if self._manifests[tag] and self._digest(tag) in self._read]

    def count(self, tags: Collection[str]) -> int:
        """How many distinct images these tags name; a tag that was not resolved yet counts as one."""
        return len({m.digest if (m := self._manifests.get(tag)) else tag for tag in tags})

    def _digest(self, tag: str) -> ManifestDigest:
        manifest = self._manifests[tag]
        assert manifest is not None  # noqa: S101 - only tags that were found are asked for
        return manifest.digest

    def _resolve(self, tags: Iterable[str]) -> None:
        missing = [tag for tag in dict.fromkeys(tags) if tag not in self._manifests]
        self._manifests |= _each(lambda tag: (tag, self._registry.find(self._repository, tag)), missing)

    def _described(self, tags: Sequence[str]) -> dict[str, tuple[ImageDescription, ...]]:
        """The images of each tag: none, one, or one for each platform."""
        self._resolve(tags)
        found = {tag: m for tag in tags if (m := self._manifests[tag])}
        missing = {m.digest: (tag, m) for tag, m in found.items() if m.digest not in self._images}
        self._images |= _each(lambda one: (one[1].digest, self._describe(*one, self._platform)), missing.values())
        return {tag: self._images[found[tag].digest] if tag in found else () for tag in tags}

    def _describe(self, tag: str, resolved: Manifest, platform: Platform | None) -> tuple[ImageDescription, ...]:
        try:
            return (describe_resolved(self._registry, self._repository, resolved, tag, platform),)
        except SeveralPlatforms:
            return tuple(image for p in platforms(resolved) for image in self._describe(tag, resolved, p))
        except UsageError:
            return ()

    def _listed(self, tag: str, images: Sequence[ImageDescription]) -> ListedRelease:
        each = [self._judged(tag, image) for image in images]
        return max(each, key=lambda entry: entry.evidence is not None)

    def _judged(self, tag: str, image: ImageDescription) -> ListedRelease:
        found: Examined | None = None
        try:
            found = examined(release_of(self._repository, tag, image), image, self._check, self._look)
            found.decision.require()
            return ListedRelease(tag, found.release, found.facts.result, named=names(found.facts))
        except (PolicyRefused, RegistryError) as refusal:
            own = {n: t for n, t in image.labels.items() if n != DEPLOY_SECTION and not is_label(n)}
            readable = {n: t for n, t in own.items() if is_text(t)}
            unlabelled = release_of(self._repository, tag, replace(image, labels=readable))
            return ListedRelease(tag, unlabelled, None, refusal.what, names(found.facts) if found else ())

    def _look(self, subject: ManifestDigest) -> Stored:
        if subject not in self._stored:
            self._stored[subject] = look(self._registry, self._repository, subject, self._all)
        return self._stored[subject]


def _each(work: Callable[[_Item], _Result], items: Collection[_Item]) -> list[_Result]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, items))
