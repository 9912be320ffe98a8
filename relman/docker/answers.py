"""What an engine answers about containers, networks and commands, read into the model. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from relman.docker.fields import Fields
from relman.model.container import Container, Listed, Network
from relman.model.errors import EngineError
from relman.model.formats.clock import from_rfc3339
from relman.model.image_config import variables
from relman.model.settings import Binding

_SHOWN = 100


@contextlib.contextmanager
def of(host: str | None, what: str) -> Iterator[None]:
    """Let an EngineError about an answer that makes no sense name the host, and what was asked for."""
    try:
        yield
    except EngineError as error:
        if error.host is None:
            error.host, error.what = host, f"{what}: the Docker engine gave an invalid answer: {error.what}"
        raise


def clock(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with any number of decimals. Raises EngineError."""
    try:
        return from_rfc3339(text).timestamp()
    except ValueError as error:
        raise EngineError(f"{text[:_SHOWN]!r} is not a time") from error


def listed_containers(rows: Any) -> list[Listed]:
    """From GET /containers/json."""
    return [_listed(row) for row in Fields.all_of(rows)]


def _listed(row: Fields) -> Listed:
    ports = [Binding(p.text("Type") or "tcp", p.number("PublicPort"), p.text("IP")) for p in row.each("Ports")]
    name = next((str(name) for name in row.texts("Names")), "")
    taken = tuple(port for port in ports if port.port)
    return Listed(row.id("Id"), name.lstrip("/"), row.text("State"), row.pairs("Labels"), taken)


def container(data: Any) -> Container:
    """From GET /containers/ID/json."""
    found = Fields.of(data)
    state, config, host = (found.fields(name, needed=True) for name in ("State", "Config", "HostConfig"))
    health = state.fields("Health")
    networks = found.fields("NetworkSettings").fields("Networks")
    return Container(
        id=found.id("Id"),
        name=found.text("Name", needed=True).lstrip("/"),
        image_id=found.image_id("Image"),
        status=state.text("Status", needed=True),
        health="" if health.text("Status") == "none" else health.text("Status"),
        restart_count=found.number("RestartCount"),
        exit_code=state.number("ExitCode"),
        oom_killed=state.flag("OOMKilled"),
        error=state.text("Error"),
        created_at=found.text("Created"),
        started_at=state.text("StartedAt"),
        labels=config.pairs("Labels"),
        addresses={name: _address(networks.fields(name)) for name in networks},
        host_ports=frozenset(_bound(host.fields("PortBindings"))),
        restart_policy=_restart(host.fields("RestartPolicy")),
        health_log=tuple(entry.text("Output").strip() for entry in health.each("Log")),
        execs=found.ids("ExecIDs"),
        env=variables(config.texts("Env")),
        directory=config.text("WorkingDir") or "/",
        argv=(found.text("Path"), *found.texts("Args")),
        auto_remove=host.flag("AutoRemove"),
    )


def _address(network: Fields) -> str:
    given = network.fields("IPAMConfig").text("IPv4Address")
    return network.text("IPAddress") or network.text("GlobalIPv6Address") or given


def addresses_in(rows: Any, network: str) -> frozenset[str]:
    """The addresses in a network of all containers in GET /containers/json; a fixed one is a container's also while it
    does not run."""
    each = (row.fields("NetworkSettings").fields("Networks").fields(network) for row in Fields.all_of(rows))
    return frozenset(filter(None, map(_address, each)))


def network(data: Any) -> Network:
    """From GET /networks/NAME."""
    found = Fields.of(data)
    ranges = found.fields("IPAM").each("Config")
    gateways = (_gateway(row.text("Gateway"), row.text("Subnet")) for row in ranges)
    subnets, parts = ([row.text(name) for row in ranges] for name in ("Subnet", "IPRange"))
    return Network(found.text("Driver"), *(next(filter(None, texts), "") for texts in (gateways, subnets, parts)))


def volumes(data: Any) -> frozenset[str]:
    """The names in GET /volumes."""
    return frozenset(row.text("Name", needed=True) for row in Fields.of(data).each("Volumes"))


def _gateway(said: str, subnet: str) -> str:
    """Where it is not said, as of the default bridge of Docker 20.10, it is the first address."""
    if said:
        return said.partition("/")[0]
    try:
        return str(ip_network(subnet, strict=False).network_address + 1)
    except ValueError:
        return ""


@dataclass(frozen=True)
class Exec:
    """A command that was begun in a container."""

    argv: tuple[str, ...]
    running: bool
    code: int


def exit_code(answer: Any) -> int:
    """From POST /containers/ID/wait."""
    return Fields.of(answer).number("StatusCode")


def execution(data: Any) -> Exec:
    """From GET /exec/ID/json."""
    found = Fields.of(data)
    process = found.fields("ProcessConfig")
    argv = (process.text("entrypoint"), *process.texts("arguments"))
    return Exec(argv, found.flag("Running"), found.number("ExitCode"))


def _restart(policy: Fields) -> str:
    """As `docker run --restart` takes it."""
    name, times = policy.text("Name") or "no", policy.number("MaximumRetryCount")
    return f"{name}:{times}" if name == "on-failure" and times > 0 else name


def _bound(bindings: Fields) -> Iterator[Binding]:
    for key in bindings:
        for place in bindings.each(key):
            if "-" not in place.text("HostPort") and (port := place.port("HostPort")):
                yield Binding(key.partition("/")[2] or "tcp", port, place.text("HostIp"))


def id_of(answer: Any) -> str:
    """The id of what was made or asked for."""
    return Fields.of(answer).id("Id")
