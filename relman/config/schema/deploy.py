"""The schema of the deploy section."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from relman.config.schema import values
from relman.config.schema.base import MOST, choice, parsed
from relman.config.schema.container import ContainerKeys
from relman.config.schema.rollout import Hook, Strategy, Task, without_twins
from relman.config.schema.run import Run
from relman.config.schema.secrets import references
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import settings as model
from relman.model import strategy as model_strategy
from relman.model.settings import DeploySettings, OnFailure, Order


class Deploy(ContainerKeys, Run):
    """How a container of the service is run on a host."""

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
        yield from self.run_faults()
        yield from self.container_faults(self.volumes)
        if self.order == Order.START_FIRST and self.singleton:
            yield ("order",), "start-first runs two copies for a while, which singleton forbids"
        if self.max_failures and self.on_failure == OnFailure.CONTINUE:
            yield ("max_failures",), "on_failure: continue stops at no number of failures: leave one of them out"
        bound = [port for port in self.all_ports() if port.binding]
        if self.order == Order.START_FIRST and bound:
            yield (
                ("order",),
                f"start-first cannot work: two containers cannot hold the host's port {bound[0].host_port}",
            )

    def settings(self) -> DeploySettings:
        """The model's settings; requires all variables to be expanded."""
        return DeploySettings(
            ports=self.all_ports(),
            env=dict(self.env),
            volumes=tuple(self.volumes),
            networks=tuple(self.networks),
            command=self.command,
            health=self.health.value() if self.health else model.Health(),
            restart=self.restart,
            stop_timeout=self.stop_timeout,
            resources=self.resources.value(),
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
            container=self.container(),
            aliases={network: names for network, names in self.networks.items() if names},
            secrets=references(self.secrets),
        )

    def _most(self) -> str:
        """A strategy that determines the number of hosts by itself is limited further only by an explicit
        max_unavailable."""
        said = "max_unavailable" in self.model_fields_set
        return "100%" if self.strategy and self.strategy.unbounded and not said else self.max_unavailable
