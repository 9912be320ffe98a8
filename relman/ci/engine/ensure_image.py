"""Other people's images, on the engine as exactly what their registry says they are now."""

from __future__ import annotations

import threading

from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.engine import images
from relman.ci.engine.pull import platforms_of, pull, resolve
from relman.docker.client import Client
from relman.model.container import Image
from relman.model.errors import Cancelled, NotFound
from relman.model.image import Platform
from relman.model.reference import repository_of


def obtain(
    client: Client,
    reference: str,
    credentials: CredentialsFor,
    progress: Progress,
    stop: threading.Event | None = None,
    platform: Platform | None = None,
) -> tuple[Image, str]:
    """The image to run, on the engine, and how a record names it: `repository@sha256:…`.

    An image that came from no registry is taken as it is, and named by its id; any other tag is what the registry
    says now, not what lies about here: for `platform`, which it then has to be, or else for the engine's own, as far as
    there is one. Raises NotFound, AccessDenied, Unreachable or RegistryError, and Cancelled
    when `stop` was set.
    """
    if local := made_here(client, reference):
        require_platform(reference, local, platform)
        return local, local.id.value
    pinned = resolve(client, reference, credentials)
    held, wanted = _held(client, pinned), platform or images.platform_of(client)
    if held and held.platform.is_for(wanted):
        return held, pinned
    if held or platform:
        offered = platforms_of(client, pinned, credentials)
        if not any(each.is_for(wanted) for each in offered):
            if platform or not held:
                known = ", ".join(map(str, offered))
                raise NotFound(f"{reference} is wanted for {wanted}, and its registry has it for {known}")
            return held, pinned
    if held and not images.ids_are_manifests(client):
        _forget(client, held, pinned)
    pull(client, pinned, credentials, _until(stop, progress) if stop else progress, platform)
    return images.inspect(client, pinned), pinned


def require_platform(reference: str, found: Image, platform: Platform | None) -> None:
    """Raise NotFound unless the image is for the platform that is wanted, if one is."""
    if platform and not found.platform.is_for(platform):
        raise NotFound(f"{reference} is for {found.platform}, and {platform} is wanted")


def _held(client: Client, pinned: str) -> Image | None:
    try:
        return images.inspect(client, pinned)
    except NotFound:
        return None


def _forget(client: Client, held: Image, pinned: str) -> None:
    """Take its repository's names from an image of another platform: the classic store has one image for a digest."""
    names = [tag for tag in held.repo_tags if repository_of(tag) == repository_of(pinned)]
    for name in (pinned, *names):
        images.untag(client, f"cannot replace {pinned}", name)


def made_here(client: Client, reference: str) -> Image | None:
    """The engine's image of that name or id, if it came from no registry (an id names what is here, wherever from)."""
    try:
        local = images.inspect(client, reference)
    except NotFound:
        return None
    return local if not local.repo_digests or local.id.value == reference else None


def _until(stop: threading.Event, progress: Progress) -> Progress:
    """The same progress, which ends the work that reports it once `stop` is set."""

    def say(line: str) -> None:
        if stop.is_set():
            raise Cancelled("given up")
        progress(line)

    return say
