"""The Docker Engine API of one host (v1.41: Docker 20.10 and later, Podman 4), through its SSH connection."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import docker
import docker.errors
import paramiko
import requests

from relman.hosts import translate
from relman.hosts.channel import EngineAdapter, NoEngine
from relman.hosts.connect import Connection
from relman.model.container import Container, EngineFacts, Image, RunSpec
from relman.model.errors import EngineError, NotFound, PullFailed, RelmanError, Unreachable
from relman.model.image import ImageId, ManifestDigest, Repository

API_VERSION = "1.41"
_PULL_TIMEOUT = 600.0
_ATTEMPTS = 3
_PAUSE = 0.2


class _Client(docker.APIClient):
    """docker-py without what requests does for the web (cookies, redirects, proxies), which takes most of its time."""

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """One request through the adapter of its URL."""
        prepared = requests.PreparedRequest()
        given = {name: options.pop(name) for name in ("params", "data", "json") if name in options}
        headers = {**self.headers, **(options.pop("headers", None) or {})}
        prepared.prepare(method, url, headers, **given)
        stream, timeout = bool(options.get("stream")), options.get("timeout")
        answer = self.get_adapter(str(prepared.url)).send(prepared, stream=stream, timeout=timeout)
        if not stream:
            _ = answer.content
        return answer


class Engine:
    """One host's engine. Every call is bounded in time, and raises EngineError, NotFound or Unreachable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._host = connection.host.name
        self._timeout = connection.timeout
        self._api = _Client(base_url="http://docker:80", version=API_VERSION, timeout=math.ceil(self._timeout))
        self._api.mount("http://", EngineAdapter(connection))

    def facts(self) -> EngineFacts:
        """What the engine is, and its clock."""
        with self._translated("GET /info"):
            return translate.facts(self._api.info())

    def survey(self, labels: Mapping[str, str]) -> tuple[list[Container], dict[tuple[str, int], str]]:
        """The containers with all these labels, newest first, and who takes which (protocol, port) of the host."""
        with self._translated("GET /containers"):
            rows = self._api.containers(all=True)
        own = [r["Id"] for r in rows if labels.items() <= (r.get("Labels") or {}).items()]
        found = self._connection.together(*(partial(self._find, container) for container in own))
        return [c for c in found if c], translate.port_owners(rows)

    def _find(self, container: str) -> Container | None:
        with contextlib.suppress(NotFound):
            return self.inspect(container)
        return None

    def inspect(self, container: str) -> Container:
        """One container by id or name."""
        with self._translated(f"container {container}"):
            return translate.container(self._api.inspect_container(container))

    def pull(
        self,
        repository: Repository,
        digest: ManifestDigest,
        auth_config: Mapping[str, str] | None,
        progress: Callable[[int, int], None],
    ) -> None:
        """Pull by digest; credentials travel with this request alone. `progress` is given bytes done and in all.

        Raises PullFailed with the engine's words, or Unreachable.
        """
        layers: dict[str, tuple[int, int]] = {}
        reference = repository.at(digest)
        try:
            with self._translated(f"pull {reference}"):
                for event in self._api.pull(
                    str(repository),
                    tag=str(digest),
                    stream=True,
                    decode=True,
                    auth_config=dict(auth_config or {}),  # None would send what docker-py finds on this machine
                ):
                    if "error" in event:
                        raise PullFailed(_pull_text(reference, event["error"]), host=self._host, hint=_PULL_HINT)
                    translate.note_layer(layers, event)
                    progress(sum(done for done, _ in layers.values()), sum(total for _, total in layers.values()))
        except EngineError as error:
            raise PullFailed(_pull_text(reference, error.what), host=self._host, hint=_PULL_HINT) from error

    def keep(self, image: ImageId, local_tag: str) -> None:
        """Give the image a local tag, so that no prune takes it."""
        name, _, tag = local_tag.rpartition(":")
        with self._translated(f"image {image.short}"):
            self._api.tag(str(image), name, tag)

    def images(self, *names: str) -> list[Image]:
        """The images that have a tag or a digest of these repository names; what they are made of is not asked for."""
        with self._translated(f"images {' '.join(names)}"):
            return [translate.listed_image(row) for row in self._api.images(filters={"reference": list(names)})]

    def remove_image(self, reference: str) -> None:
        """Take one name off an image; the engine deletes an image that has none left."""
        with self._translated(f"image {reference}"):
            self._api.remove_image(reference)

    def has_network(self, name: str) -> bool:
        """Whether a container could join this network. A worker of a swarm learns of the swarm's networks only when it
        joins one, and so is believed to have it."""
        with self._translated(f"network {name}"):
            try:
                self._api.inspect_network(name)
            except docker.errors.NotFound:
                swarm = self._api.info().get("Swarm") or {}
                return swarm.get("LocalNodeState") == "active" and not swarm.get("ControlAvailable")
        return True

    def create(self, spec: RunSpec) -> str:
        """Create a container, not started; returns its id."""
        networks = [n for n in spec.settings.networks if n != "host"]
        with self._translated(f"container {spec.name}"):
            made = self._api.create_container_from_config(translate.creation(spec), spec.name)  # type: ignore[no-untyped-call]
            for network in networks[1:]:
                aliases = translate.aliases_in(network, spec)
                self._api.connect_container_to_network(made["Id"], network, aliases=aliases)
        return str(made["Id"])

    def start(self, container: str) -> None:
        """Start a container; one that runs already is left alone."""
        with self._translated(f"container {container[:12]}"):
            self._api.start(container)

    def stop(self, container: str, timeout: int) -> None:
        """Stop a container, killing it after `timeout` seconds; one that is stopped already is left alone."""
        with self._translated(f"container {container[:12]}"):
            self._api.stop(container, timeout=timeout)

    def set_restart(self, container: str, policy: str) -> None:
        """Change a container's restart policy.

        The engine refuses that in the moment between a process's end and its noticing it: it is asked again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._translated(f"container {container[:12]}"):
                    self._api.update_container(container, restart_policy={"Name": policy})  # type: ignore[arg-type]
            except EngineError as error:
                if attempt == _ATTEMPTS or isinstance(error, NotFound):
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def remove(self, container: str) -> None:
        """Remove a stopped container; its volumes stay, the anonymous ones too."""
        with self._translated(f"container {container[:12]}"):
            self._api.remove_container(container, v=False)

    def logs(self, container: str, tail: int, *, timestamps: bool = False) -> list[str]:
        """The last `tail` lines of a container."""
        with self._translated(f"container {container[:12]}"):
            text: bytes = self._api.logs(container, tail=tail, timestamps=timestamps)
        return text.decode(errors="replace").splitlines()

    def logs_since(self, container: str, stamp: str) -> list[str]:
        """All lines with their timestamps from the second of `stamp` (such a timestamp) on; "" is the beginning."""
        since = int(translate.clock(stamp)) if stamp else None
        with self._translated(f"container {container[:12]}"):
            text: bytes = self._api.logs(container, since=since, timestamps=True)
        return text.decode(errors="replace").splitlines()

    def follow(self, container: str, tail: int) -> Iterator[str]:
        """The last `tail` lines with their timestamps, and every line from now on, until the container ends."""
        with self._translated(f"container {container[:12]}"):
            rest = b""
            for part in self._api.logs(container, tail=tail, timestamps=True, stream=True, follow=True):
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Turn what docker-py, requests and paramiko raise into the model's errors."""
        try:
            yield
        except docker.errors.NotFound as error:
            raise NotFound(f"{what}: {error.explanation or 'not found'}", host=self._host, status=404) from error
        except docker.errors.APIError as error:
            text = f"{what}: {error.explanation or error}"
            raise EngineError(text, host=self._host, status=error.status_code) from error
        except (requests.RequestException, paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(what, error) from error

    def _lost(self, what: str, error: Exception) -> RelmanError:
        try:
            alive = self._connection.transport.is_active()
        except Unreachable as gone:
            return gone
        cause = _innermost(error)
        said = f"{cause}" or type(cause).__name__
        if alive and isinstance(cause, TimeoutError):
            self._connection.close()  # who did not answer for so long is not waited for again
            return Unreachable(f"{what}: the engine did not answer within {self._timeout:g} s", host=self._host)
        text = said if isinstance(cause, NoEngine) else f"{what}: the Docker engine does not answer: {said}"
        return Unreachable(
            text,
            host=self._host,
            hint=f"on the host: systemctl status docker; may {self._connection.host.endpoint.user} use its socket?",
        )


_PULL_HINT = "nothing was changed; check the registry's address and password, and the host's disk"


def _pull_text(reference: str, said: str) -> str:
    return f"could not pull {reference}: {said}"


def _innermost(error: BaseException) -> BaseException:
    while not isinstance(error, NoEngine) and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__ or error
    return error
