"""Other people's images, on the engine as exactly what their registry says they are now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from relman.ci import images
from relman.ci.engine import CredentialsFor, Progress
from relman.ci.transfer import pull, resolve
from relman.model.container import Image
from relman.model.errors import Cancelled, NotFound

if TYPE_CHECKING:
    import docker


def obtain(
    client: docker.APIClient, reference: str, credentials: CredentialsFor, progress: Progress, stop: threading.Event
) -> tuple[Image, str]:
    """The image to run, on the engine, and how a record names it: `repository@sha256:…`.

    An image that came from no registry is taken as it is, and named by its id; any other tag is what the registry
    says now, not what lies about here. Raises NotFound, AccessDenied, Unreachable or RegistryError, and Cancelled
    when `stop` was set.
    """
    if local := made_here(client, reference):
        return local, local.id.value
    pinned = resolve(client, reference, credentials)
    try:
        return images.inspect(client, pinned), pinned
    except NotFound:
        pull(client, pinned, credentials, _until(stop, progress))
    return images.inspect(client, pinned), pinned


def made_here(client: docker.APIClient, reference: str) -> Image | None:
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
