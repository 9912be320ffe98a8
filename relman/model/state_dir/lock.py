"""The lock that guards a change to a service on a host, and what its holder intends there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relman.model.formats.untrusted_json import read
from relman.model.formats.versions import plain, unversioned, version_of
from relman.model.state_dir.record import CONTAINER, CONTAINER_NAME, ID, Deployed, Unit, check_entry, require


class Phase(StrEnum):
    """What the holder of a lock was about to do on this host."""

    HELD = "held"  # the host matches its record
    CHANGING = "changing"  # the old container may be stopped, the new one may run
    RETURNING = "returning"  # the old container is being restored
    REMOVING = "removing"  # the service is being removed


@dataclass(frozen=True)
class OldContainer:
    """A container that has its place when a change begins: what it takes to put it back. `stop_timeout` in seconds."""

    container: str
    process: str = ""
    restart: str = "no"
    stop_timeout: int = 10


@dataclass(frozen=True)
class Several:
    """What an intent says of several containers: the `old` ones; the processes whose old ones `stop_first`; the names
    of the new ones that are `reused`."""

    old: tuple[OldContainer, ...]
    stop_first: tuple[str, ...]
    reused: tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    """What a change on this host means to do: replace all of `olds` by all of `news`.

    `entry` is what the record is to say afterwards, `rollback` tells a rollback from a deployment. The other fields are
    how it is written, for one container in version 1: `make` fills them in, and the properties read them.
    """

    old: str | None
    old_restart: str
    new_name: str
    entry: Deployed
    stop_first: bool
    reused: bool = False
    rollback: bool = False
    several: Several | None = None

    @classmethod
    def make(
        cls,
        olds: tuple[OldContainer, ...],
        entry: Deployed,
        news: tuple[Unit, ...],
        *,
        stop_first: tuple[str, ...],
        reused: tuple[str, ...],
        rollback: bool,
    ) -> Intent:
        """An intent to put `news`, which have names, in the place of `olds`; of the processes in `stop_first` the old
        containers stop before the new ones start."""
        entry = entry.placed(news)
        if not entry.units and len(olds) <= 1 and all(not o.process for o in olds):
            old = olds[0] if olds else OldContainer("", restart="no")
            return cls(
                old.container or None, old.restart, news[0].name, entry, bool(stop_first), bool(reused), rollback
            )
        several = Several(olds, stop_first, reused)
        return cls(None, "no", news[0].name, entry, bool(stop_first), bool(reused), rollback, several)

    @property
    def olds(self) -> tuple[OldContainer, ...]:
        """The containers that had the service's place."""
        if self.several:
            return self.several.old
        return (OldContainer(self.old, "", self.old_restart),) if self.old else ()

    @property
    def news(self) -> tuple[Unit, ...]:
        """The containers that are or will be created, or are kept ones."""
        return self.entry.units or (Unit("", 1, self.new_name, self.entry.container),)

    def stops_first(self, process: str) -> bool:
        """Whether the old containers of this process stop before new ones start."""
        return process in self.several.stop_first if self.several else self.stop_first

    def reuses(self, name: str) -> bool:
        """Whether the new container of this name is a kept one, to be kept if it is not taken."""
        return name in self.several.reused if self.several else self.reused


@dataclass(frozen=True)
class Lock:
    """The lock file: who holds it, for which deployment, for how long, and what comes next.

    `token` distinguishes two holders with the same name; `machine` and `pid` let the holder's machine detect that it
    died. `ttl` is in seconds from the last write of the file, by the host's clock; `since` is when the holder began,
    RFC 3339 in UTC by its own clock ("" if an older relman wrote it).
    """

    owner: str
    machine: str
    pid: int
    token: str
    deployment: str
    message: str
    ttl: float
    phase: Phase = Phase.HELD
    intent: Intent | None = None
    since: str = ""

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        return {"version": version_of(self), **plain(self)}

    @classmethod
    def from_json(cls, data: Any, environment: str, service: str) -> Lock:
        """Rebuild a lock of this service from untrusted JSON. Raises Misread, and Newer if a newer relman wrote it."""
        lock = read(cls, unversioned(data))
        require(ID.fullmatch(lock.deployment), "deployment", "a deployment's id")
        if lock.intent:
            old, name = lock.intent.old, lock.intent.new_name
            require(old is None or CONTAINER.fullmatch(old), "intent.old", "a container's id")
            require(CONTAINER_NAME.fullmatch(name), "intent.new_name", "a container's name")
            for number, running in enumerate(lock.intent.several.old if lock.intent.several else ()):
                key = f"intent.several.old[{number}].container"
                require(CONTAINER.fullmatch(running.container), key, "a container's id")
            check_entry(lock.intent.entry, environment, service, "intent.entry")
        return lock


@dataclass(frozen=True)
class FoundLock:
    """A lock as found on a host: `age` in seconds by the host's clock; `lock` is None if the file is malformed."""

    lock: Lock | None
    age: float

    @property
    def expired(self) -> bool:
        """Whether its holder failed to renew it in time."""
        return self.age > (self.lock.ttl if self.lock else 60.0)
