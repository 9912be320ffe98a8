"""The schema of the deploy section."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from relman.config.document import KeyPath
from relman.config.schema import values, values_container, values_names
from relman.config.schema.base import MOST, Argv, EnvName, Section, choice, filled, parsed
from relman.config.schema.health import OFF, Health, HealthcheckOrOff
from relman.config.schema.rollout import Hook, Strategy, Task, without_twins
from relman.config.schema.values import Faults
from relman.model import settings as model
from relman.model import strategy as model_strategy
from relman.model.settings import DeploySettings, Mount, OnFailure, Order, Port

_ALONE = {"host", "none"}


def without_clash(clash: Callable[[Any, Any], str | None]) -> AfterValidator:
    """A validator: no two items of the list clash. Items with unexpanded variables are text, and checked later."""

    def check(items: list[Any]) -> list[Any]:
        faults: list[tuple[KeyPath, str]] = []
        for i, item in enumerate(items):
            said = next(filter(None, (clash(other, item) for other in items[:i])), None)
            faults += [((i,), said)] if said else []
        if faults:
            raise Faults(faults)
        return items

    return AfterValidator(check)


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

    memory: Annotated[int, parsed(values_container.size)] | None = None
    cpus: Annotated[float, parsed(values_container.cpus)] | None = None
    pids: Annotated[int, Field(ge=1, le=MOST)] | None = None


class Deploy(Section):
    """How a container of the service is run on a host."""

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
    order: Annotated[str, choice(*Order)] = DeploySettings.order
    singleton: bool = DeploySettings.singleton
    max_unavailable: Annotated[str, parsed(values.share)] = DeploySettings.max_unavailable
    on_failure: Annotated[str, choice(*OnFailure)] = DeploySettings.on_failure
    keep: Annotated[int, Field(ge=1, le=MOST)] = DeploySettings.keep
    strategy: Strategy | None = None
    max_failures: Annotated[int, Field(ge=0, le=MOST)] = DeploySettings.max_failures
    tasks: Annotated[list[Task], AfterValidator(without_twins)] = []
    hooks: list[Hook] = []

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if faults := list(self._faults()):
            raise Faults(faults)
        return self

    def _faults(self) -> Iterator[tuple[KeyPath, str]]:
        if _ALONE & set(self.networks) and self.ports:
            yield ("ports",), f"the network {self.networks[0]} publishes no ports: leave them out"
        if self.order == Order.START_FIRST and self.singleton:
            yield ("order",), "start-first runs two copies for a while, which singleton forbids"
        if self.max_failures and self.on_failure == OnFailure.CONTINUE:
            yield ("max_failures",), "on_failure: continue stops at no number of failures: leave one of them out"
        if self.healthcheck is OFF and self.health and self.health.image:
            yield ("healthcheck",), "false leaves deploy.health.image nothing to ask"
        bound = [p for p in self.ports if isinstance(p, Port) and p.host_port]
        if self.order == Order.START_FIRST and bound:
            yield (
                ("order",),
                f"start-first cannot work: two containers cannot hold the host's port {bound[0].host_port}",
            )

    def settings(self) -> DeploySettings:
        """The model's settings; requires all variables to be expanded."""
        return DeploySettings(
            ports=tuple(self.ports),
            env=dict(self.env),
            volumes=tuple(self.volumes),
            networks=tuple(self.networks),
            command=self.command,
            health=self.health.value() if self.health else model.Health(),
            restart=self.restart,
            stop_timeout=self.stop_timeout,
            resources=model.Resources(self.resources.memory, self.resources.cpus, self.resources.pids),
            order=Order(self.order),
            singleton=self.singleton,
            max_unavailable=self._most(),
            on_failure=OnFailure(self.on_failure),
            keep=self.keep,
            strategy=self.strategy.value() if self.strategy else model_strategy.Strategy(),
            max_failures=self.max_failures,
            tasks=tuple(t.value() for t in self.tasks),
            hooks=tuple(h.value() for h in self.hooks),
            healthcheck=self.healthcheck.value() if self.healthcheck else None,
        )

    def _most(self) -> str:
        """A strategy that determines the number of hosts by itself is limited further only by an explicit
        max_unavailable."""
        said = "max_unavailable" in self.model_fields_set
        return "100%" if self.strategy and self.strategy.unbounded and not said else self.max_unavailable
