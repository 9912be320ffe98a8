"""The local Docker Engine: the connection, its errors in relman's words, and its streams of events.

Specification: Docker Engine API 1.41. docker-py's own streaming calls leave the connection open when they are given
up; here closing the iterator closes it, and the engine then stops the work.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

from relman.ci.engine.stopwatch import Watch
from relman.docker import answers, streams
from relman.model.errors import EngineError, NotFound, RelmanError, Unreachable
from relman.registry.auth import Credentials

if TYPE_CHECKING:
    import docker
    import requests

T = TypeVar("T")
Progress = Callable[[str], None]
CredentialsFor = Callable[[str], Credentials | None]
Event = Mapping[str, Any]

_PART = 1 << 16


def connect(watch: Watch | None = None) -> docker.APIClient:
    """Connect to the engine that DOCKER_HOST names (else the default socket); `watch` notes how long its answers take,
    streams included. Raises Unreachable."""
    import docker
    from docker.utils import kwargs_from_env

    noted = watch or Watch()

    class Timed(docker.APIClient):
        """Every request goes through `send`."""

        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            """Send a request, and note the time until the answer has come, and while its body does."""
            with noted.waiting():
                answer = super().send(request, **options)
            body: Any = answer.raw
            body.read, body.read1 = _noted(noted, body.read), _noted(noted, body.read1)
            body.stream = _noted_parts(noted, body.stream)
            return answer

    with translated("cannot use the local engine"):
        return Timed(**kwargs_from_env(), version="auto", timeout=60)


def _noted(watch: Watch, read: Callable[..., bytes]) -> Callable[..., bytes]:
    def timed(*arguments: Any, **options: Any) -> bytes:
        with watch.waiting():
            return read(*arguments, **options)

    return timed


def _noted_parts(watch: Watch, stream: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    def timed(*arguments: Any, **options: Any) -> Iterator[bytes]:
        parts = iter(stream(*arguments, **options))
        while True:
            with watch.waiting():
                part = next(parts, None)
            if part is None:
                return
            yield part

    return timed


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise whatever docker-py, requests and urllib3 raise as NotFound, EngineError or Unreachable, beginning with
    `what`: what comes of an answer that they do not understand, too."""
    import requests
    import urllib3
    from docker.errors import DockerException

    try:
        yield
    except RelmanError:
        raise
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        kind = NotFound if status == requests.codes.not_found else EngineError
        raise kind(f"{what}: {_message(error)}", status=status) from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        DockerException,
        OSError,
        EOFError,
    ) as error:
        raise Unreachable(
            f"{what}: {_said(error)}", hint="Does the engine run, and does DOCKER_HOST name it?"
        ) from error
    except Exception as error:
        raise EngineError(f"{what}: the engine gave an invalid answer ({type(error).__name__})") from error


def answered(what: str, ask: Callable[[], Any], read: Callable[[Any], T]) -> T:
    """What `read` makes of the answer to what is asked. Raises NotFound, EngineError or Unreachable."""
    with translated(what):
        answer = ask()
    with answers.of(None, what):
        return read(answer)


def _said(error: BaseException) -> str:
    from relman.hosts.ssh.foreign_errors import said

    return said(error)


def _message(error: requests.HTTPError) -> str:
    explanation = getattr(error, "explanation", None)
    if explanation is None and error.response is not None:
        try:
            explanation = error.response.json()["message"]
        except (ValueError, KeyError, TypeError):
            explanation = error.response.text
    return str(explanation or error) or "it refuses"


def events(
    client: docker.APIClient,
    path: str,
    what: str,
    *,
    params: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    data: IO[bytes] | None = None,
) -> Iterator[Event]:
    """POST to `path` and yield the engine's progress events as they come.

    An event that reports an error raises EngineError (without status); close the iterator to end the work early.
    """
    url = f"{client.base_url}/v{client.api_version}{path}"
    with (
        translated(what),
        client.post(url, params=params, headers=headers, data=data, stream=True, timeout=(60, None)) as answer,
    ):
        answer.raise_for_status()
        for event in streams.events(answer.iter_content(_PART)):
            if "error" in event:
                raise EngineError(f"{what}: {event['error']}")
            yield event
