"""A host's record of one service in one environment, and the lock that guards it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from relman.model.container import Image
from relman.model.errors import UsageError
from relman.model.formats.untrusted_json import Misread, read
from relman.model.formats.versions import plain, unversioned, version_of
from relman.model.grants.secrets import SECRET_NAME, SecretSet
from relman.model.image import ConfigDigest, ImageId, ManifestDigest, Repository, check_tag
from relman.model.settings import DeploySettings

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SALT = re.compile(r"(?:[0-9a-f]{2}){8,64}")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,511}")


@dataclass(frozen=True)
class Unit:
    """One container of a release on a host: the `replica`-th (from 1) of its process. `container` is the engine's id,
    "" until it is made."""

    process: str
    replica: int
    name: str
    container: str = ""

    @property
    def slot(self) -> tuple[str, str]:
        """As model.container.Container.slot says it."""
        return self.process, str(self.replica)

    @property
    def title(self) -> str:
        """What people call it, "" where the service names no processes."""
        return f"{self.process}.{self.replica}" if self.process else ""


@dataclass(frozen=True)
class Deployed:
    """One release as deployed on this host: sufficient to deploy it again without registry, checkout or ledger.

    `id` is the deployment's; `image_id` this host's id of the image, `kept_as` the local tag that protects it from
    pruning. `proven` is whether a deployment of it finished healthy, was read back, and was never rolled back.
    `verified` is False if there was no health check. `skipped` describes each gate that a person skipped for this
    release, and is shown as long as the release is here. `at` is RFC 3339 in UTC, by the deployer's clock. `secrets`
    are the values that the host keeps for it. `container` is that of a service without processes; a service with
    processes has `units`.
    """

    id: str
    release: str
    repository: Repository
    manifest: ManifestDigest
    config: ConfigDigest
    image_id: ImageId
    kept_as: str
    settings: DeploySettings
    container: str
    at: str
    by: str
    commit: str = ""
    proven: bool = False
    verified: bool = True
    skipped: tuple[str, ...] = ()
    secrets: SecretSet | None = None
    units: tuple[Unit, ...] = ()

    @property
    def parts(self) -> tuple[Unit, ...]:
        """Its containers."""
        return self.units or (Unit("", 1, "", self.container),)

    @property
    def ids(self) -> frozenset[str]:
        """The engine's ids of its containers, as far as they are created."""
        return frozenset(u.container for u in self.parts if u.container)

    def placed(self, units: tuple[Unit, ...]) -> Deployed:
        """The same, run by these containers."""
        if self.settings.processes:
            return replace(self, units=units, container="")
        return replace(self, container=units[0].container, units=())


def kept_name(environment: str, service: str) -> str:
    """The local repository name of the tags that protect a service's images from pruning."""
    return f"relman.kept/{environment.lower()}/{service.lower()}"


def kept_in(images: Iterable[Image], entry: Deployed) -> str | None:
    """The local reference of the entry's exact image among `images`, or None. Pure."""
    pulled = entry.repository.at(entry.manifest)
    named = [i for i in images if i.id == entry.image_id]
    if any(entry.kept_as in i.repo_tags for i in named):
        return entry.kept_as
    return pulled if any(pulled in i.repo_digests for i in named) else None


@dataclass(frozen=True)
class Absence:
    """A host that a person excluded from a deployment: of which release, by whom, when (RFC 3339), and why."""

    host: str
    release: str
    manifest: str
    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class HostRecord:
    """The releases deployed on one host, oldest first, and which of them serves (`current`, a deployment id).

    `left_out` are the hosts excluded from the last deployment, because their own records cannot say so.
    """

    service: str
    environment: str
    entries: tuple[Deployed, ...] = ()
    current: str | None = None
    left_out: tuple[Absence, ...] = ()

    @property
    def serving(self) -> Deployed | None:
        """The entry that should be running, or None."""
        return next((e for e in self.entries if e.id == self.current), None)

    def deployed(self, entry: Deployed) -> HostRecord:
        """The record after a deployment: `entry` is the newest and serves; an older entry with its id is replaced."""
        others = tuple(e for e in self.entries if e.id != entry.id)
        return replace(self, entries=(*others, entry), current=entry.id)

    def returned(self, entry: Deployed) -> HostRecord:
        """The record after a rollback: `entry` serves again; newer entries lose their proof until deployed
        explicitly."""
        if entry.id not in {e.id for e in self.entries}:
            return replace(self, entries=(entry, *self._unproven(self.entries)), current=entry.id)
        place = next(i for i, e in enumerate(self.entries) if e.id == entry.id)
        kept = (*self.entries[:place], entry)
        return replace(self, entries=(*kept, *self._unproven(self.entries[place + 1 :])), current=entry.id)

    @staticmethod
    def _unproven(entries: tuple[Deployed, ...]) -> tuple[Deployed, ...]:
        return tuple(replace(e, proven=False) for e in entries)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        return {"version": version_of(self), **plain(self)}

    @classmethod
    def from_json(cls, data: Any) -> HostRecord:
        """Rebuild a record from untrusted JSON. Raises Misread, and Newer if a newer relman wrote it."""
        record = read(cls, unversioned(data))
        for number, entry in enumerate(record.entries):
            _check(entry, record.environment, record.service, f"entries[{number}]")
        ids = [e.id for e in record.entries]
        if len(set(ids)) < len(ids):
            raise Misread("entries", "two of them have the same id")
        if record.current is not None and record.current not in ids:
            raise Misread("current", "no entry has this id")
        return record


def _check(entry: Deployed, environment: str, service: str, key: str) -> None:
    """Raise Misread unless the entry's names have the form that relman writes."""
    keeper, _, tag = entry.kept_as.partition(":")
    _require(_ID.fullmatch(entry.id), f"{key}.id", "a deployment's id")
    _require(_is_tag(entry.release), f"{key}.release", "a tag")
    wanted = kept_name(environment, service)
    _require(keeper == wanted and _is_tag(tag), f"{key}.kept_as", f"{wanted} and a tag")
    _require(not entry.container or _CONTAINER.fullmatch(entry.container), f"{key}.container", "a container's id")
    for secret in entry.settings.every_secret:
        _require(SECRET_NAME.fullmatch(secret.name), f"{key}.settings.secrets", "names of secrets")
    if entry.secrets:
        _require(_ID.fullmatch(entry.secrets.directory), f"{key}.secrets.directory", "a deployment's id")
        _require(_SALT.fullmatch(entry.secrets.salt), f"{key}.secrets.salt", "hexadecimal digits")
    for number, unit in enumerate(entry.units):
        own = f"{key}.units[{number}]"
        _require(not unit.container or _CONTAINER.fullmatch(unit.container), f"{own}.container", "a container's id")
        _require(_CONTAINER_NAME.fullmatch(unit.name), f"{own}.name", "a container's name")
    named = {(p.name, n) for p in entry.settings.processes for n in range(1, p.replicas + 1)}
    found = [(u.process, u.replica) for u in entry.units]
    _require(sorted(found) == sorted(named), f"{key}.units", "one for each replica of each process")


def _is_tag(text: str) -> bool:
    try:
        return bool(check_tag(text))
    except UsageError:
        return False


def _require(fits: object, key: str, what: str) -> None:
    if not fits:
        raise Misread(key, f"expected {what}")


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

    @property
    def reuses_any(self) -> bool:
        """Whether a kept container is taken again."""
        return any(self.reuses(unit.name) for unit in self.news)

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
        _require(_ID.fullmatch(lock.deployment), "deployment", "a deployment's id")
        if lock.intent:
            old, name = lock.intent.old, lock.intent.new_name
            _require(old is None or _CONTAINER.fullmatch(old), "intent.old", "a container's id")
            _require(_CONTAINER_NAME.fullmatch(name), "intent.new_name", "a container's name")
            for number, running in enumerate(lock.intent.several.old if lock.intent.several else ()):
                key = f"intent.several.old[{number}].container"
                _require(_CONTAINER.fullmatch(running.container), key, "a container's id")
            _check(lock.intent.entry, environment, service, "intent.entry")
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
