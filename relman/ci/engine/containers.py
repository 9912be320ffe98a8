"""Containers that live only as long as a run: made, watched, and read."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relman.ci.engine.api import answered, translated
from relman.ci.engine.line_buffer import Lines
from relman.ci.engine.owner import labels
from relman.docker import answers, streams
from relman.docker.creation import health_config
from relman.model.errors import RelmanError
from relman.model.formats.mask import Mask
from relman.model.image import ImageId
from relman.model.run import RunName
from relman.model.settings import Healthcheck, Mount

if TYPE_CHECKING:
    import docker

_KILL_GRACE = 15.0
_END_GRACE = 30
_PART = 1 << 16
# Bounded on the engine's disk; the newest lines are the ones shown.
_SERVICE_LOG = ("json-file", {"max-size": "10m", "max-file": "1"})
# A command's output is streamed and never read again.
_COMMAND_LOG: tuple[str, dict[str, str]] = ("none", {})


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


def create_network(client: docker.APIClient, run: RunName) -> str:
    """Create the run's own network and return its name. Raises EngineError."""
    name = object_name(run)
    with translated(f"cannot create network {name}"):
        client.create_network(name, driver="bridge", labels=labels(run), check_duplicate=True)
    return name


def create_volume(client: docker.APIClient, run: RunName, name: str) -> str:
    """Create the run's own volume `name` and return what the engine knows it by. Raises EngineError."""
    known = object_name(run, "volume", name)
    with translated(f"cannot create volume {known}"):
        client.create_volume(known, labels=labels(run))
    return known


def create(
    client: docker.APIClient,
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
) -> str:
    """Create a container of the run in its network and return its id. With an alias it is a service, whose log is
    kept; without, a command, whose output is only streamed. The image's ENTRYPOINT stays without an `entrypoint`; an
    empty one is none. The source of a mount is a volume as the engine knows it, or a path of the engine's machine.
    Raises EngineError."""
    from docker import types

    driver, options = _SERVICE_LOG if alias else _COMMAND_LOG
    mounted = [
        types.Mount(m.target, m.source, type="bind" if m.is_bind else "volume", read_only=m.read_only) for m in mounts
    ]
    with translated(f"cannot create container {name}"):
        endpoint = client.create_endpoint_config(aliases=[alias] if alias else None)
        host = client.create_host_config(
            network_mode=network,
            log_config=types.LogConfig(type=driver, config=options),
            mounts=mounted or None,
            tmpfs=dict(tmpfs) if tmpfs else None,
        )
        answer = client.create_container(
            image.value,
            name=name,
            command=list(command) if command is not None else None,
            entrypoint=list(entrypoint) if entrypoint is not None else None,
            environment=dict(env),
            labels=labels(run),
            tty=tty,
            stdin_open=tty,
            host_config=host,
            healthcheck=health_config(healthcheck) if healthcheck else None,
            networking_config={"EndpointsConfig": {network: endpoint}},
        )
    return str(answer["Id"])


def state(client: docker.APIClient, container: str, network: str) -> State:
    """Inspect a container. Raises NotFound or EngineError."""
    what = f"cannot inspect container {container[:12]}"
    found = answered(what, lambda: client.inspect_container(container), answers.container)
    with answers.of(None, what):
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


def last_lines(client: docker.APIClient, container: str, mask: Mask, count: int = 20) -> list[str]:
    """The last lines of a service's log, without its secrets. Raises EngineError."""
    with translated(f"cannot read the log of container {container[:12]}"):
        log: bytes = client.logs(container, tail=count)
    return mask(log.decode(errors="replace")).splitlines()[-count:]


def run_to_end(client: docker.APIClient, container: str, timeout: float, output: Lines) -> int | None:
    """Start a created container, feed what it prints to `output`, return its exit code; None when it was killed after
    `timeout` seconds. Raises EngineError where it cannot be started."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    url = f"{client.base_url}/v{client.api_version}/containers/{container}/attach"
    params = {"stream": "1", "stdout": "1", "stderr": "1"}
    with translated(f"cannot run container {container[:12]}"):
        # Attached before the start, so that not one line is missed.
        with client.post(url, params=params, stream=True, timeout=(60, timeout + _KILL_GRACE)) as answer:
            answer.raise_for_status()
            client.start(container)
            with _after(timeout, lambda: client.kill(container)) as expired:
                for chunk in streams.unframed(iter(lambda: answer.raw.read1(_PART), b"")):
                    output.feed(decode(chunk))
        output.end()
        status = client.wait(container, timeout=_END_GRACE)["StatusCode"]
    return None if expired.is_set() else int(status)


@contextmanager
def _after(seconds: float, act: Callable[[], object]) -> Iterator[threading.Event]:
    """Call `act` when the body takes longer than `seconds`; the event says whether that happened."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with suppress(RelmanError), translated("cannot end the container"):
            act()

    timer = threading.Timer(seconds, expire)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
