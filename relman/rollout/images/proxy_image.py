"""The image of a host's proxy: pulled by digest, and kept under a local tag, so that no prune takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from relman.model.errors import EngineError
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.reference import familiar
from relman.rollout.fleet import Session
from relman.rollout.images.registry_offer import pulled

_KEPT = "relman.kept/proxy"


@dataclass(frozen=True)
class ProxyImage:
    """What a name was resolved to, once for all hosts; `auth` is the login of its registry, if there is one."""

    repository: Repository
    manifest: ManifestDigest
    auth: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def reference(self) -> str:
        """The reference by digest."""
        return self.repository.at(self.manifest)


def fetched(session: Session, image: ProxyImage, progress: Callable[[int, int], None]) -> ImageId:
    """The engine's id of the image, which is pulled unless it is there. Raises what a pull raises."""
    engine = session.engine
    if (found := _found(session, image)) is None:
        pull = partial(engine.pull, image.repository, image.manifest, image.auth, progress)
        session.connection.lasting(lambda: pulled(session, image.repository, image.auth, pull))
        found = _found(session, image)
    if found is None:
        raise EngineError(f"the engine does not have {image.reference}, which it pulled", host=session.host.name)
    engine.keep(found, f"{_KEPT}:{image.manifest.short}")
    return found


def _found(session: Session, image: ProxyImage) -> ImageId | None:
    listed = session.engine.images(str(image.repository), _KEPT)
    return next((each.id for each in listed if familiar(image.reference) in each.repo_digests), None)


def forget_others(session: Session, keep: ImageId | None = None) -> None:
    """Take relman's tags from images of earlier proxies, or from all. Raises what the engine raises."""
    for image in session.engine.images(_KEPT):
        for tag in image.repo_tags if image.id != keep else ():
            session.engine.remove_image(tag)
