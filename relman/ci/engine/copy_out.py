"""Files out of a container, as a tar archive."""

from __future__ import annotations

from contextlib import AbstractContextManager

from relman.docker.client import Client, Stream


def archive(client: Client, what: str, container: str, path: str) -> AbstractContextManager[Stream]:
    """The archive of a file or directory in a container, running or not, as it comes. Raises NotFound, EngineError or
    Unreachable, also for whatever is raised while it is read."""
    return client.stream(what, "GET", "/containers/{}/archive", container, params={"path": path})
