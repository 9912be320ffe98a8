"""The way to the engine of this machine, or to the one that DOCKER_HOST names: docker-py's, whose client is seen here
alone.

Specification: Docker Engine API, in the engine's own version.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from relman.docker.client import Body, Client
from relman.hosts.ssh.bounded import Bounds
from relman.hosts.ssh.foreign_errors import said
from relman.model.errors import RelmanError, Unreachable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import docker
    from urllib3 import BaseHTTPResponse

T = TypeVar("T")
Waiting = Callable[[], "AbstractContextManager[object]"]

_SECONDS = 60.0
_HINT = "Does the engine run, and does DOCKER_HOST name it?"


class LocalSocket:
    """Requests through docker-py. `waiting` is entered whenever the engine is waited for, streams included."""

    host = None
    hint = _HINT
    patience = timeout = _SECONDS

    def __init__(self, api: docker.APIClient, waiting: Waiting) -> None:
        self.api = api
        self.version = str(api.api_version)
        self._waiting = waiting

    def send(self, method: str, url: str, body: Body, headers: Mapping[str, str], bounds: Bounds) -> BaseHTTPResponse:
        """Send one request. A stream is waited for as long as its bounds say; what else is late raises."""
        silence = bounds.seconds if bounds.stall is None else bounds.stall
        with self._waiting():
            answer = self.api.request(
                method,
                f"{self.api.base_url}{url}",
                data=body,
                headers={**headers, "Accept-Encoding": "identity"},
                stream=True,
                allow_redirects=False,
                timeout=(_SECONDS, None if silence == float("inf") else silence),
            )
        raw: Any = answer.raw
        raw.read, raw.read1 = self._noted(raw.read), self._noted(raw.read1)
        return raw  # type: ignore[no-any-return]

    def ask(
        self,
        method: str,
        url: str,
        body: Body,
        headers: Mapping[str, str],
        bounds: Bounds,
        read: Callable[[BaseHTTPResponse], T],
    ) -> T:
        """What `read` makes of the answer to one request."""
        return read(self.send(method, url, body, headers, bounds))

    def lasting(self, work: Callable[[], T]) -> T:
        """Do it: nothing leads to this engine that could be lost and opened again."""
        return work()

    def lost(self, what: str, error: Exception, _: Bounds) -> RelmanError | None:
        """Unreachable for whatever docker-py and what it stands on raise of the way."""
        import requests
        import urllib3
        from docker.errors import DockerException

        of_the_way = (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            DockerException,
            OSError,
            EOFError,
        )
        return Unreachable(f"{what}: {said(error)}", hint=_HINT) if isinstance(error, of_the_way) else None

    def _noted(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def timed(*arguments: Any, **options: Any) -> bytes:
            with self._waiting():
                return read(*arguments, **options)

        return timed


class LocalClient(Client):
    """Calls of the local engine, and a terminal there."""

    def __init__(self, socket: LocalSocket) -> None:
        super().__init__(socket)
        self._api = socket.api

    def terminal(self, what: str, container: str) -> Any:
        """A socket to a container that has a terminal and is not started yet: what is typed, and what is printed."""
        wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with self.edge(what):
            stream = self._api.attach_socket(container, params=wanted)
        return getattr(stream, "_sock", stream)

    def close(self) -> None:
        """Close what is kept open."""
        self._api.close()


def connect(waiting: Waiting = nullcontext) -> LocalClient:
    """Connect to the engine that DOCKER_HOST names, else the default socket. Raises Unreachable."""
    import docker
    from docker.utils import kwargs_from_env

    try:
        with waiting():
            api = docker.APIClient(**kwargs_from_env(), version="auto", timeout=int(_SECONDS))
    except Exception as error:
        raise Unreachable(f"cannot use the local engine: {said(error)}", hint=_HINT) from error
    return LocalClient(LocalSocket(api, waiting))
