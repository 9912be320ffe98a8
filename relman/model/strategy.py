"""How a rollout proceeds through the hosts, and what runs beside it: strategies, checks, tasks and hooks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StrategyKind(StrEnum):
    """The order in which hosts are changed."""

    ROLLING = "rolling"
    CANARY = "canary"
    ALL_AT_ONCE = "all-at-once"
    BLUE_GREEN = "blue-green"


class When(StrEnum):
    """When a task or hook runs: before the first host changes, after the last one did, or after a failure."""

    BEFORE = "before"
    AFTER = "after"
    FAILED = "failed"


@dataclass(frozen=True)
class ProxyCheck:
    """What users may see of a canary: the share of requests that fail is below `errors_below`, and 99 of 100 answers
    begin within `p99_below` seconds; it is judged by at least so many requests."""

    errors_below: float | None = None
    p99_below: float | None = None
    minimum_requests: int = 100


@dataclass(frozen=True)
class Check:
    """A check on the deployer's machine: a URL that responds with 200 to 399, or a command that exits with 0; and what
    users saw, as the proxies tell it.

    At most one of `url` and `command` is given; `timeout` is in seconds.
    """

    url: str = ""
    command: tuple[str, ...] | None = None
    timeout: float = 30.0
    proxy: ProxyCheck | None = None


@dataclass(frozen=True)
class Strategy:
    """The order in which hosts are changed.

    `batches` are counts ("2") or shares of the hosts to change ("25%"), one wave each, the last one repeated; without
    any, max_unavailable decides. `pause` is the time in seconds between waves. A canary's hosts are named by `hosts` or
    counted by `count`; they serve for `bake` seconds before `check` runs. In blue-green all hosts do, while the old
    containers still run.
    """

    kind: StrategyKind = StrategyKind.ROLLING
    batches: tuple[str, ...] = ()
    pause: float = 0.0
    hosts: tuple[str, ...] = ()
    count: str = "1"
    bake: float = 60.0
    check: Check | None = None


@dataclass(frozen=True)
class Task:
    """A command that runs once in a container of the new image, with the service's variables, volumes and networks.

    `once`: on one host, else on each host that changes. `timeout` is in seconds. `rollback_safe`: the previous release
    still works after the task has run.
    """

    name: str
    command: tuple[str, ...]
    when: When = When.BEFORE
    once: bool = True
    timeout: float = 600.0
    rollback_safe: bool = False


@dataclass(frozen=True)
class Hook:
    """A command on the deployer's machine; `timeout` is in seconds."""

    command: tuple[str, ...]
    when: When = When.AFTER
    timeout: float = 60.0
