"""The schema of what one container of a service runs, and of its health."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from pydantic import Field

from relman.config.schema import values, values_container
from relman.config.schema.base import MOST, Argv, EnvName, Section, filled, parsed
from relman.config.schema.health import OFF, Health, HealthcheckOrOff
from relman.config.schema.lists import several, without_clash
from relman.config.schema.networks import ALONE, Networks
from relman.config.schema.secrets import SecretName, SecretUse, clash, references
from relman.config.yaml_document import KeyPath
from relman.model import settings as model
from relman.model.settings import DeploySettings, Mount, Port

_Times = Annotated[str, Field(pattern="^on-failure:[1-9][0-9]*$")]
Restart = Literal["no", "always", "unless-stopped", "on-failure"] | _Times
Ports = tuple[Port, ...]


def _ports_clash(one: Ports | str, other: Ports | str) -> str | None:
    pairs = [] if isinstance(one, str) or isinstance(other, str) else list(product(one, other))
    return next(filter(None, (_port_clash(*pair) for pair in pairs)), None)


def _port_clash(one: Port, other: Port) -> str | None:
    if one == other:
        return "the same port twice"
    if one.binding and other.binding and one.binding.collides(other.binding):
        return f"the host's port {one.host_port}/{one.protocol} is taken by another entry"
    return None


def mounts_clash(one: Mount | str, other: Mount | str) -> str | None:
    """Why two mounts cannot be in one container, or None."""
    if isinstance(one, str) or isinstance(other, str):
        return None
    return f"another volume is mounted at {one.target}" if one.target == other.target else None


class Resources(Section):
    """Limits of the container."""

    memory: Annotated[int, parsed(values_container.memory)] | None = None
    cpus: Annotated[float, parsed(values_container.cpus)] | None = None
    pids: Annotated[int, Field(ge=1, le=MOST)] | None = None

    def value(self) -> model.Resources:
        """The model's limits."""
        return model.Resources(self.memory, self.cpus, self.pids)


class Run(Section):
    """What one container runs, and how its health is checked."""

    ports: Annotated[list[Annotated[Ports, filled(values_container.ports)]], without_clash(_ports_clash)] = []
    env: dict[EnvName, Annotated[str, filled(values.text)]] = {}
    env_file: Annotated[list[str], several(values.word)] = []
    volumes: Annotated[list[Annotated[Mount, filled(values_container.mount)]], without_clash(mounts_clash)] = []
    networks: Networks = {}
    command: Argv | None = None
    health: Health | None = None
    healthcheck: HealthcheckOrOff = None
    restart: Annotated[str, parsed(values_container.restart, Restart)] = DeploySettings.restart
    stop_timeout: Annotated[int, parsed(values.whole_seconds)] = DeploySettings.stop_timeout
    resources: Resources = Resources()
    secrets: dict[SecretName, SecretUse] = {}

    def all_ports(self) -> tuple[Port, ...]:
        """The ports, but for entries whose variables are not expanded."""
        return tuple(port for entry in self.ports if not isinstance(entry, str) for port in entry)

    def run_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What cannot be combined, each with the path of the key to change."""
        if (alone := next((name for name in self.networks if name in ALONE), None)) and self.ports:
            yield ("ports",), f"the network {alone} publishes no ports: leave them out"
        if self.healthcheck is OFF and self.health and self.health.image:
            yield ("healthcheck",), "false leaves deploy.health.image nothing to ask"
        taken = {m.target: "the target of a volume" for m in self.volumes if isinstance(m, Mount)}
        if found := clash(references(self.secrets), taken | dict.fromkeys(self.env, "given in env")):
            yield ("secrets", found[0]), found[1]
