"""Files out of a container, as a tar archive."""

from __future__ import annotations

from contextlib import AbstractContextManager

from relman.docker.client import Client, Stream
from relman.hosts.ssh.bounded import Bounds


def archive(client: Client, what: str, container: str, path: str) -> AbstractContextManager[Stream]:
    """The archive of a file or directory in a container, running or not, as it comes. Raises NotFound, EngineError or
    Unreachable, also for whatever is raised while it is read."""
    bounds = Bounds(client.timeout)
    return client.stream(what, "GET", "/containers/{}/archive", container, params={"path": path}, bounds=bounds)
