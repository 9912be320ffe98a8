"""The schema of what one container of a service runs, and of its health."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from relman.config.schema import values, values_container, values_names
from relman.config.schema.base import MOST, Argv, EnvName, Section, choice, filled, parsed
from relman.config.schema.health import OFF, Health, HealthcheckOrOff
from relman.config.schema.lists import without_clash
from relman.config.yaml_document import KeyPath
from relman.model import settings as model
from relman.model.settings import DeploySettings, Mount, Port

_ALONE = {"host", "none"}


def _ports_clash(one: Port | str, other: Port | str) -> str | None:
    if isinstance(one, str) or isinstance(other, str):
        return None
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


def _networks_clash(one: str, other: str) -> str | None:
    if one == other:
        return "the same network twice"
    return "host and none exclude other networks" if {one, other} & _ALONE else None


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

    ports: Annotated[list[Annotated[Port, filled(values_container.port)]], without_clash(_ports_clash)] = []
    env: dict[EnvName, Annotated[str, filled(values.text)]] = {}
    volumes: Annotated[list[Annotated[Mount, filled(values_container.mount)]], without_clash(mounts_clash)] = []
    networks: Annotated[list[Annotated[str, filled(values_names.network)]], without_clash(_networks_clash)] = []
    command: Argv | None = None
    health: Health | None = None
    healthcheck: HealthcheckOrOff = None
    restart: Annotated[str, choice("no", "always", "unless-stopped", "on-failure")] = DeploySettings.restart
    stop_timeout: Annotated[int, parsed(values.whole_seconds)] = DeploySettings.stop_timeout
    resources: Resources = Resources()

    def run_faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What cannot be combined, each with the path of the key to change."""
        if _ALONE & set(self.networks) and self.ports:
            yield ("ports",), f"the network {self.networks[0]} publishes no ports: leave them out"
        if self.healthcheck is OFF and self.health and self.health.image:
            yield ("healthcheck",), "false leaves deploy.health.image nothing to ask"
