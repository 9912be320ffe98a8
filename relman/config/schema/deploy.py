"""The schema of the deploy section."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import MOST, choice, parsed
from relman.config.schema.proxy import blue_green
from relman.config.schema.rollout import Hook, Strategy, Task, without_twins
from relman.config.schema.run import Process, Runnable
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import strategy as model_strategy
from relman.model.settings import DeploySettings, OnFailure


class Deploy(Runnable):
    """How a container of the service is run on a host, or several of them."""

    max_unavailable: Annotated[str, parsed(values.share)] | None = None
    on_failure: Annotated[str, choice(*OnFailure)] = DeploySettings.on_failure
    keep: Annotated[int, Field(ge=1, le=MOST)] = DeploySettings.keep
    strategy: Strategy | None = None
    max_failures: Annotated[int, Field(ge=0, le=MOST)] = DeploySettings.max_failures
    tasks: Annotated[list[Task], AfterValidator(without_twins)] = []
    hooks: list[Hook] = []
    processes: dict[Annotated[str, AfterValidator(values_names.process_name)], Process] = {}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if faults := list(dict.fromkeys(self._faults())):
            raise Faults(faults)
        return self

    def _faults(self) -> Iterator[tuple[KeyPath, str]]:
        # tasks are run as the section itself says
        yield from self.file_faults() if self.processes else self.faults()
        for name, process in self.processes.items():
            for path, text in process.within(self).own_faults():
                own = process if path[0] in process.model_fields_set else self
                yield (("processes", name, *path) if own is process or path == ("replicas",) else path), text
        proxies = {name: found for name, process in self.processes.items() if (found := process.within(self).proxy)}
        if len(proxies) > 1:
            first, second, *_ = proxies
            yield ("processes", second, "proxy"), f"one process is reached through the proxy: {first} is"
        proxy = next(iter(proxies.values()), None) if self.processes else self.proxy
        yield from self.strategy.proxy_faults(proxy.protocol if proxy else None) if self.strategy else ()
        if self.strategy and self.strategy.blue_green:
            yield from self._blue_green_faults()
        if self.max_failures and self.on_failure == OnFailure.CONTINUE:
            yield ("max_failures",), "on_failure: continue stops at no number of failures: leave one of them out"

    def _blue_green_faults(self) -> Iterator[tuple[KeyPath, str]]:
        if self.on_failure != OnFailure.ROLLBACK or self.max_failures:
            key = "max_failures" if self.max_failures else "on_failure"
            yield (key,), "blue_green changes all hosts or none: leave it out"
        whole = {name: process.within(self) for name, process in self.processes.items()}
        for name, path, text in blue_green.faults(whole or {"": self}):
            own = self.processes.get(name)
            yield ("processes", name, *path) if own and path[0] in own.model_fields_set else path, text

    def settings(self) -> DeploySettings:
        """The model's settings; requires all variables to be expanded."""
        return DeploySettings(
            **vars(self.run()),
            max_unavailable=self._most(),
            on_failure=OnFailure(self.on_failure),
            keep=self.keep,
            strategy=self.strategy.value() if self.strategy else model_strategy.Strategy(),
            max_failures=self.max_failures,
            tasks=tuple(t.value() for t in self.tasks),
            hooks=tuple(h.value() for h in self.hooks),
            processes=tuple(p.within(self).value(name) for name, p in self.processes.items()),
        )

    def _most(self) -> str:
        """A strategy that determines the number of hosts by itself is limited further only by an explicit
        max_unavailable."""
        return self.max_unavailable or ("100%" if self.strategy and self.strategy.unbounded else "")
