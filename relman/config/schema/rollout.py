"""The schema of a rollout: strategy, tasks, hooks."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import (
    Argv,
    Duration,
    OneOrMore,
    PositiveDuration,
    Section,
    choice,
    exactly_one,
    filled,
    parsed,
)
from relman.config.schema.proxy.check import ProxyCheck
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import strategy as model
from relman.model.proxy_settings import Protocol
from relman.model.strategy import StrategyKind, When

Batches = Annotated[tuple[str, ...], parsed(values.batches, OneOrMore)]


class HttpCheck(Section):
    """Passes when this URL responds with a status from 200 to 399."""

    url: Annotated[str, filled(values_names.url)]


class Check(Section):
    """A check on the deployer's machine before the rollout continues."""

    http: HttpCheck | None = None
    command: Argv | None = None
    proxy: ProxyCheck | None = None
    timeout: PositiveDuration = model.Check.timeout

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("http", "command"), "what to ask", required=False)
        if not (self.http or self.command or self.proxy):
            raise ValueError("say what to ask: http, command or proxy")
        return self

    def value(self) -> model.Check:
        """The model's check."""
        proxy = self.proxy.value() if self.proxy else None
        return model.Check(self.http.url if self.http else "", self.command, self.timeout, proxy)


class Rolling(Section):
    """One host first, then batches."""

    batches: Batches = model.Strategy.batches
    pause: Duration = model.Strategy.pause


class Canary(Section):
    """A few hosts first, which are watched and checked; then batches."""

    hosts: list[Annotated[str, filled(values.word)]] = []
    count: Annotated[str, parsed(values.share)] = model.Strategy.count
    bake: Duration = model.Strategy.bake
    check: Check | None = None
    batches: Batches = model.Strategy.batches
    pause: Duration = model.Strategy.pause

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("hosts", "count"), "which hosts", required=False)
        return self


class BlueGreen(Section):
    """Old and new containers on all hosts, and one switch between them."""

    pause: Duration = model.Strategy.bake
    check: Check | None = None


class Strategy(Section):
    """The order in which hosts are changed."""

    rolling: Rolling | None = None
    canary: Canary | None = None
    all_at_once: Annotated[bool, parsed(values.true)] = False
    blue_green: BlueGreen | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("rolling", "canary", "all_at_once", "blue_green"), "which strategy")
        return self

    def proxy_faults(self, protocol: str | None) -> Iterator[tuple[KeyPath, str]]:
        """What the proxy of a process that speaks this protocol, None where there is none, could not count."""
        section, name, lasting = self.canary or self.blue_green, *self._watched
        check = section.check if section else None
        if not (check and check.proxy):
            return
        here = ("strategy", name, "check", "proxy")
        if protocol is None:
            yield here, "the proxy counts what users see: it needs deploy.proxy"
        elif protocol == Protocol.TCP and check.proxy.p99_below is not None:
            yield (*here, "p99_below"), "protocol: tcp has connections, and no answers whose time is known"
        elif not getattr(section, lasting):
            yield ("strategy", name, lasting), "check.proxy counts what users see during it: expected more than 0"

    @property
    def _watched(self) -> tuple[str, str]:
        """The strategy that watches, and its key that says for how long."""
        return ("blue_green", "pause") if self.blue_green else ("canary", "bake")

    @property
    def unbounded(self) -> bool:
        """Whether the strategy itself determines how many hosts change at once."""
        return self.all_at_once or bool(self.blue_green) or bool(self.rolling and self.rolling.batches)

    def value(self) -> model.Strategy:
        """The model's strategy."""
        if self.canary:
            return model.Strategy(
                kind=StrategyKind.CANARY,
                batches=self.canary.batches,
                pause=self.canary.pause,
                hosts=tuple(self.canary.hosts),
                count=self.canary.count,
                bake=self.canary.bake,
                check=self.canary.check.value() if self.canary.check else None,
            )
        if self.blue_green:
            check = self.blue_green.check
            return model.Strategy(
                StrategyKind.BLUE_GREEN, bake=self.blue_green.pause, check=check.value() if check else None
            )
        if self.rolling:
            return model.Strategy(StrategyKind.ROLLING, self.rolling.batches, self.rolling.pause)
        return model.Strategy(StrategyKind.ALL_AT_ONCE)


class Task(Section):
    """A command that runs to completion in a container of the new image."""

    name: Annotated[str, parsed(values_names.task_name)]
    command: Argv
    when: Annotated[str, choice(When.BEFORE, When.AFTER)] = model.Task.when
    once: bool = model.Task.once
    timeout: PositiveDuration = model.Task.timeout
    rollback_safe: bool = model.Task.rollback_safe

    def value(self) -> model.Task:
        """The model's task."""
        return model.Task(self.name, self.command, When(self.when), self.once, self.timeout, self.rollback_safe)


class Hook(Section):
    """A command on the deployer's machine."""

    command: Argv
    when: Annotated[str, choice(*When)] = model.Hook.when
    timeout: PositiveDuration = model.Hook.timeout

    def value(self) -> model.Hook:
        """The model's hook."""
        return model.Hook(self.command, When(self.when), self.timeout)


def without_twins(tasks: list[Task]) -> list[Task]:
    """The tasks, if their names are distinct. Raises Faults."""
    faults: list[tuple[KeyPath, str]] = []
    for i, task in enumerate(tasks):
        if task.name in [other.name for other in tasks[:i]]:
            faults.append(((i, "name"), f"another task is called {task.name}"))
    if faults:
        raise Faults(faults)
    return tasks
