"""The Docker Engine API of one host (v1.41: Docker 20.10, Podman 5.1 and later), through its SSH connection."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from relman.docker import answers, creation, facts, images, log_limit, streams
from relman.docker.auth import login
from relman.docker.channels import EngineChannels, HostClient
from relman.docker.client import Stream
from relman.docker.container_exec import Inside
from relman.docker.events import Layers
from relman.docker.networks import Networks
from relman.hosts.ssh.bounded import Bounds
from relman.hosts.ssh.connection import Connection
from relman.model.container import Container, EngineFacts, Image, Listed, Network, RunSpec
from relman.model.errors import EngineError, NotFound, PreflightFailed, PullFailed, Unreachable
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.reference import familiar

_STALLED = 600.0  # seconds without any progress of a pull
_MOST_LOG = 32 << 20
_MOST_LINES = 100_000
_ATTEMPTS = 3
_PAUSE = 0.2
_CONFLICT = 409
_NOBODY_S = "0" * 64
_UNKNOWN_REQUEST = (404, 405, 501)
_UPDATING = "nothing was changed; Docker Engine 20.10 or later can, and Podman 5.1 or later"


class Engine:
    """One host's engine. Every call is bounded in time and size, and raises EngineError, NotFound or Unreachable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._host = connection.host.name
        self._client = HostClient(EngineChannels(connection))
        self._logs_unlimited: bool | None = None  # by the daemon's default; None until it is known
        self._ends_containers = False  # whenever it is restarted; False until that is known
        self.inside = Inside(self._client, connection)
        self.networks = Networks(self._client)

    def facts(self) -> EngineFacts:
        """What the engine is, and its clock."""
        found = self._client.get("GET /info", "/info", read=facts.facts)
        self._ends_containers = not found.live_restore
        return found

    def name(self) -> str:
        """Its name and version, such as `Podman Engine 5.4.2`."""
        return self._client.get("GET /version", "/version", read=facts.engine_name)

    def survey(self, labels: Mapping[str, str]) -> tuple[list[Container], list[Listed]]:
        """The containers with all these labels, newest first; and all containers of the host, in short."""
        params = {"all": 1}
        rows = self._client.get("GET /containers", "/containers/json", params=params, read=answers.listed_containers)
        own = [row.id for row in rows if labels.items() <= row.labels.items()]
        found = self._connection.together(*(partial(self._find, container) for container in own))
        return [c for c in found if c], rows

    def _find(self, container: str) -> Container | None:
        with contextlib.suppress(NotFound):
            return self.inspect(container)
        return None

    def inspect(self, container: str) -> Container:
        """One container by id or name."""
        return self._client.get(f"container {container}", "/containers/{}/json", container, read=self._inspected)

    def _inspected(self, answer: Any) -> Container:
        if self._ends_containers and log_limit.was_limited(answer):
            self._logs_unlimited = True
        return answers.container(answer)

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
        reference = repository.at(digest)
        params = {"fromImage": str(repository), "tag": str(digest)}
        bounds = Bounds(_STALLED, stall=_STALLED)
        try:
            with self._client.stream(
                f"pull {reference}", "POST", "/images/create", params=params, headers=login(auth_config), bounds=bounds
            ) as stream:
                self._follow_pull(reference, stream, progress)
        except EngineError as error:
            raise PullFailed(_pull_text(reference, error.what), host=self._host, hint=_PULL_HINT) from error

    def _follow_pull(self, reference: str, stream: Stream, progress: Callable[[int, int], None]) -> None:
        layers = Layers()
        for event in streams.events(stream.parts):
            if "error" in event:
                raise PullFailed(_pull_text(reference, str(event["error"])), host=self._host, hint=_PULL_HINT)
            with self._client.reading(f"pull {reference}"):
                if layers.note(event):
                    stream.renew()
            progress(layers.done, layers.total)

    def ask_registry(self, repository: Repository, auth_config: Mapping[str, str] | None) -> None:
        """Let the engine ask the repository's registry for something, which need not be there. Raises EngineError with
        its words, by whose status it was the registry that said no (below 500), or that it cannot be asked."""
        what = f"registry {repository.registry}"
        self._client.ask(what, "GET", "/distribution/{}/json", str(repository), headers=login(auth_config))

    def keep(self, image: ImageId, local_tag: str) -> None:
        """Give the image a local tag, so that no prune takes it."""
        name, _, tag = local_tag.rpartition(":")
        params = {"repo": name, "tag": tag}
        self._client.ask(f"image {image.short}", "POST", "/images/{}/tag", str(image), params=params, twice=True)

    def images(self, *names: str) -> list[Image]:
        """The images that have a tag or a digest of these repository names; what they are made of is not asked for."""
        what, references = f"images {' '.join(names)}", [familiar(name) for name in names]
        params = {"filters": json.dumps({"reference": references})}
        return self._client.get(what, "/images/json", params=params, read=images.listed_images)

    def remove_image(self, reference: str) -> None:
        """Take one name off an image; the engine deletes an image that has none left."""
        self._client.ask(f"image {reference}", "DELETE", "/images/{}", reference)

    def network(self, name: str) -> Network | None:
        """A network that a container could join. A worker of a swarm learns of the swarm's networks only when it joins
        one, and so is believed to have it."""
        try:
            return self._client.get(f"network {name}", "/networks/{}", name, read=answers.network)
        except NotFound:
            worker = self._client.get("GET /info", "/info", read=facts.is_swarm_worker)
            return Network("overlay") if worker else None

    def volumes(self) -> frozenset[str]:
        """The names of all volumes."""
        return self._client.get("GET /volumes", "/volumes", read=answers.volumes)

    def create(self, spec: RunSpec) -> str:
        """Create a container, not started; returns its id. Where the connection was lost meanwhile and is back, it is
        looked for before it is asked for again."""
        networks = [n for n in spec.settings.networks if n != "host"]
        what = f"container {spec.name}"
        made = self._create(what, spec.name, creation.creation(spec, limit_log=bool(self._logs_unlimited)))
        if spec.settings.container.logging is None and self._logs_unlimited is None:
            made = self._limited(what, made, spec)
        for network in networks[1:]:
            joined = {"Container": made, "EndpointConfig": creation.endpoint(network, spec)}
            self._client.ask(what, "POST", "/networks/{}/connect", network, body=joined)
        return made

    def _limited(self, what: str, made: str, spec: RunSpec) -> str:
        """The container, created again with a limited log if the daemon sets no limit by itself."""
        self._logs_unlimited = self._client.get(what, "/containers/{}/json", made, read=log_limit.is_unlimited)
        if not self._logs_unlimited:
            return made
        self.remove(made)
        return self._create(what, spec.name, creation.creation(spec, limit_log=True))

    def _create(self, what: str, name: str, body: Any) -> str:
        def ask() -> str:
            answer = self._client.ask(what, "POST", "/containers/create", params={"name": name}, body=body)
            with self._client.reading(what):
                return answers.id_of(answer)

        try:
            return ask()
        except Unreachable:
            if found := self._find(name):
                return found.id
        try:
            return ask()
        except EngineError as error:
            if error.status == _CONFLICT and (found := self._find(name)):
                return found.id
            raise

    def start(self, container: str) -> None:
        """Start a container; one that runs already is left alone."""
        self._client.ask(_named(container), "POST", "/containers/{}/start", container)

    def stop(self, container: str, timeout: int) -> None:
        """Stop a container, killing it after `timeout` seconds; one that is stopped already is left alone."""
        seconds = self._connection.timeout + timeout
        params, path = {"t": timeout}, "/containers/{}/stop"
        self._client.ask(_named(container), "POST", path, container, params=params, seconds=seconds, twice=True)

    def resume(self, container: str) -> None:
        """Let a paused container go on."""
        self._client.ask(_named(container), "POST", "/containers/{}/unpause", container)

    def signal(self, container: str, name: str) -> None:
        """Send a signal to a container's own process."""
        self._client.ask(_named(container), "POST", "/containers/{}/kill", container, params={"signal": name})

    def set_restart(self, container: str, policy: str) -> None:
        """Change a container's restart policy.

        The engine refuses that in the moment between a process's end and its noticing it: it is asked again.
        """
        body = {"RestartPolicy": creation.restart_policy(policy)}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                path = "/containers/{}/update"
                self._client.ask(_named(container), "POST", path, container, body=body, twice=True)
            except EngineError as error:
                if attempt == _ATTEMPTS or isinstance(error, NotFound):
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def require_updates(self) -> None:
        """Raise PreflightFailed where the engine cannot change a restart policy, as a deployment has to. Nothing is
        changed: it is asked for a container that nobody has, and an engine that knows the request names it."""
        what = "restart policies"
        try:
            self._client.ask(what, "POST", "/containers/{}/update", _NOBODY_S, body={})
        except EngineError as error:
            if _NOBODY_S in error.what:
                return
            if error.status not in _UNKNOWN_REQUEST:
                raise
            text = f"{self.name()} cannot change the restart policy of a container, as a deployment has to"
            raise PreflightFailed(text, host=self._host, hint=_UPDATING) from error

    def remove(self, container: str) -> None:
        """Remove a stopped container; its volumes stay, the anonymous ones too."""
        what, path = _named(container), "/containers/{}"
        try:
            self._client.ask(what, "DELETE", path, container, params={"v": 0})
        except Unreachable:
            if self._find(container):
                self._client.ask(what, "DELETE", path, container, params={"v": 0})

    def logs(self, container: str, tail: int, *, timestamps: bool = False) -> list[str]:
        """The last `tail` lines of a container."""
        return self._logged(container, {"tail": tail, "timestamps": int(timestamps)}, tail)

    def logs_since(self, container: str, stamp: str) -> list[str]:
        """All lines with their timestamps from the second of `stamp` (such a timestamp) on, the last 100,000 of them;
        "" is the beginning."""
        return self._logged(container, {**self._since(container, stamp), "timestamps": 1}, _MOST_LINES)

    def logs_within(self, container: str, since: float, until: float, takes: Callable[[str], bool]) -> list[str]:
        """The lines with their timestamps between two times (seconds since the epoch; infinite is no limit) that are
        taken, the last 100,000 of them or as many as are 32 MiB. A log of any length is read, as long as it comes."""
        # whole seconds, which every engine takes; `takes` knows the fractions
        bound = {"since": max(0, math.floor(since))} if since > -math.inf else {}
        bound |= {"until": max(1, math.ceil(until))} if until < math.inf else {}
        bounds = Bounds(self._connection.patience, stall=math.inf)
        with self._log(container, {**bound, "timestamps": 1}, bounds) as lines:
            return streams.last(filter(takes, lines), _MOST_LINES, _MOST_LOG)

    def _logged(self, container: str, params: Mapping[str, Any], most: int) -> list[str]:
        bounds = Bounds(self._connection.patience, _MOST_LOG)
        with self._log(container, params, bounds) as lines:
            return list(deque(lines, min(most, _MOST_LINES)))

    def follow(self, container: str, since: str) -> Iterator[str]:
        """The lines with their timestamps from the second of `since` on ("": only those from now on), and every line
        as it comes, until the container ends. A silent one is waited for as long as its engine answers."""
        wanted = self._since(container, since) or {"tail": 0}
        bounds = Bounds(self._connection.patience, stall=math.inf)
        with self._log(container, {**wanted, "timestamps": 1, "follow": 1}, bounds) as lines:
            yield from lines

    @contextlib.contextmanager
    def _log(self, container: str, params: Mapping[str, Any], bounds: Bounds) -> Iterator[Iterator[str]]:
        wanted = {"stdout": 1, "stderr": 1, **params}
        with self._client.stream(
            _named(container), "GET", "/containers/{}/logs", container, params=wanted, bounds=bounds
        ) as stream:
            yield streams.log_lines(stream.parts)

    def _since(self, container: str, stamp: str) -> dict[str, Any]:
        with self._client.reading(f"log of {_named(container)}"):
            return {"since": int(answers.clock(stamp))} if stamp else {}


def _named(container: str) -> str:
    return f"container {container[:12]}"


_PULL_HINT = (
    "nothing was changed; check the registry's address and password, whether the host's engine trusts it "
    "(/etc/docker/certs.d, insecure-registries), and the host's disk"
)


def _pull_text(reference: str, said: str) -> str:
    return f"could not pull {reference}: {said}"
