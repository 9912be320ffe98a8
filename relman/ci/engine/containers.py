"""Containers that live only as long as a run: made, watched, and read."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from relman.ci.engine.line_buffer import Lines
from relman.ci.engine.owner import labels
from relman.docker import answers, streams
from relman.docker.client import Client
from relman.docker.creation import creation
from relman.hosts.ssh.bounded import Bounds
from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings, Logging, Tmpfs
from relman.model.errors import RelmanError
from relman.model.formats.mask import Mask
from relman.model.image import ImageId
from relman.model.run import RunName
from relman.model.settings import DeploySettings, Healthcheck, Mount

_KILL_GRACE = 15.0
_END_GRACE = 30.0
# Bounded on the engine's disk; the newest lines are the ones shown.
_SERVICE_LOG = Logging("json-file", {"max-size": "10m", "max-file": "1"})
# A command's output is streamed and never read again.
_COMMAND_LOG = Logging("none")


@dataclass(frozen=True)
class State:
    """What the engine says of a container now. `health` is "" without HEALTHCHECK; `address` its address in the
    run's network; `started` is in seconds since the epoch, by the engine's clock; its process starts in `directory`, as
    `argv`."""

    running: bool
    exit_code: int
    oom_killed: bool
    health: str
    address: str
    image: ImageId
    env: Mapping[str, str]
    started: float
    directory: str
    argv: tuple[str, ...]

    @property
    def death(self) -> str:
        """How it died, for one that does not run."""
        return f"died with exit code {self.exit_code}{', out of memory' if self.oom_killed else ''}"


def object_name(run: RunName, *parts: str) -> str:
    """A name for one of the run's objects, distinct for every run, service and matrix job."""
    return ".".join((f"relman-{run.tag}", *parts))


def create_network(client: Client, run: RunName) -> str:
    """Create the run's own network and return its name. Raises EngineError."""
    name = object_name(run)
    body = {"Name": name, "Driver": "bridge", "Labels": labels(run), "CheckDuplicate": True}
    client.ask(f"cannot create network {name}", "POST", "/networks/create", body=body)
    return name


def create_volume(client: Client, run: RunName, name: str) -> str:
    """Create the run's own volume `name` and return what the engine knows it by. Raises EngineError."""
    known = object_name(run, "volume", name)
    body = {"Name": known, "Labels": labels(run)}
    client.ask(f"cannot create volume {known}", "POST", "/volumes/create", body=body)
    return known


def create(
    client: Client,
    run: RunName,
    name: str,
    image: ImageId,
    network: str,
    *,
    command: Sequence[str] | None,
    env: Mapping[str, str],
    entrypoint: Sequence[str] | None = None,
    alias: str | None = None,
    mounts: Iterable[Mount] = (),
    tmpfs: Mapping[str, str] | None = None,
    tty: bool = False,
    healthcheck: Healthcheck | None = None,
    container: ContainerSettings | None = None,
) -> str:
    """Create a container of the run in its network and return its id. With an alias it is a service, whose log is
    kept; without, a command, whose output is only streamed. The image's ENTRYPOINT stays without an `entrypoint` here
    or in `container`; an empty one is none. The source of a mount is a volume as the engine knows it, or a path of the
    engine's machine. Raises EngineError."""
    given = container or ContainerSettings()
    settings = DeploySettings(
        env=env,
        volumes=tuple(mounts),
        networks=(network,),
        command=None if command is None else tuple(command),
        restart="no",
        healthcheck=healthcheck,
        container=replace(
            given,
            entrypoint=given.entrypoint if entrypoint is None else tuple(entrypoint),
            tmpfs=(*given.tmpfs, *(Tmpfs(*each) for each in (tmpfs or {}).items())),
            logging=_SERVICE_LOG if alias else _COMMAND_LOG,
            tty=tty or given.tty,
        ),
    )
    spec = RunSpec(name, image.value, settings, labels(run), (alias,) if alias else (), interactive=tty)
    what = f"cannot create container {name}"
    answer = client.ask(what, "POST", "/containers/create", params={"name": name}, body=creation(spec))
    with client.reading(what):
        return answers.id_of(answer)


def start(client: Client, what: str, container: str) -> None:
    """Start a container. Raises NotFound, EngineError (with status 400 where its program cannot be started) or
    Unreachable, which begin with `what`."""
    client.ask(what, "POST", "/containers/{}/start", container)


def wait(client: Client, what: str, container: str, seconds: float = 60.0) -> int:
    """The exit code of a container that ends now. Raises NotFound, EngineError or Unreachable."""
    answer = client.ask(what, "POST", "/containers/{}/wait", container, seconds=seconds)
    with client.reading(what):
        return answers.exit_code(answer)


def remove(client: Client, container: str) -> None:
    """End and remove a container, with the anonymous volumes made for it, never a named one. Raises NotFound,
    EngineError or Unreachable."""
    what, params = f"cannot remove container {container[:12]}", {"force": 1, "v": 1}
    client.ask(what, "DELETE", "/containers/{}", container, params=params)


def state(client: Client, container: str, network: str) -> State:
    """Inspect a container. Raises NotFound or EngineError."""
    what = f"cannot inspect container {container[:12]}"
    found = client.get(what, "/containers/{}/json", container, read=answers.container)
    with client.reading(what):
        started = answers.clock(found.started_at)
    return State(
        running=found.alive,
        exit_code=found.exit_code,
        oom_killed=found.oom_killed,
        health=found.health,
        address=found.addresses.get(network, ""),
        image=found.image_id,
        env=found.env,
        started=started,
        directory=found.directory,
        argv=found.argv,
    )


def last_lines(client: Client, container: str, mask: Mask, count: int = 20) -> list[str]:
    """The last lines of a service's log, without its secrets. Raises EngineError."""
    what, params = f"cannot read the log of container {container[:12]}", {"stdout": 1, "stderr": 1, "tail": count}
    with client.stream(what, "GET", "/containers/{}/logs", container, params=params) as stream:
        log = b"".join(streams.unframed(stream.parts))
    return mask(log.decode(errors="replace")).splitlines()[-count:]


def run_to_end(client: Client, container: str, timeout: float, output: Lines) -> int | None:
    """Start a created container, feed what it prints to `output`, return its exit code; None when it was killed after
    `timeout` seconds. Raises EngineError where it cannot be started."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    what, bounds = f"cannot run container {container[:12]}", Bounds(client.timeout, stall=timeout + _KILL_GRACE)
    params = {"stream": 1, "stdout": 1, "stderr": 1}
    # Attached before the start, so that not one line is missed.
    with client.stream(what, "POST", "/containers/{}/attach", container, params=params, bounds=bounds) as stream:
        start(client, what, container)
        with _after(timeout, lambda: client.ask(what, "POST", "/containers/{}/kill", container)) as expired:
            for chunk in streams.unframed(stream.parts):
                output.feed(decode(chunk))
    output.end()
    status = wait(client, what, container, _END_GRACE)
    return None if expired.is_set() else status


@contextmanager
def _after(seconds: float, act: Callable[[], object]) -> Iterator[threading.Event]:
    """Call `act` when the body takes longer than `seconds`; the event says whether that happened."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with suppress(RelmanError):
            act()

    timer = threading.Timer(seconds, expire)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
