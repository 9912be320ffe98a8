"""What a host remembers of one service in one environment, and the lock that guards a change to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from relman.model.container import Image
from relman.model.image import ConfigDigest, ImageId, ManifestDigest, Repository
from relman.model.settings import DeploySettings

VERSION = 1


@dataclass(frozen=True)
class Deployed:
    """One release as it was put on this host: enough to put it there again without registry, checkout or ledger.

    `id` is the deployment's; `image_id` is this host's name for the image, `kept_as` the local tag that protects it
    from pruning. `proven`: a deployment of it to the environment finished healthy and read back, and nobody rolled back
    from it.
    `verified` is False when there was no health check to go by. `skipped` tells of each gate that a person left out
    for this release, to be shown as long as it is here. `at` is RFC 3339 in UTC, by the deployer's clock.
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

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        texts = {k: str(plain[k]) for k in ("repository", "manifest", "config", "image_id")}
        return plain | texts | {"settings": self.settings.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deployed:
        """Rebuild from `to_json`. Raises KeyError, TypeError, ValueError or UsageError."""
        known = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        return cls(
            **known
            | {
                "repository": Repository.parse(data["repository"]),
                "manifest": ManifestDigest(data["manifest"]),
                "config": ConfigDigest(data["config"]),
                "image_id": ImageId(data["image_id"]),
                "settings": DeploySettings.from_json(data["settings"]),
                "skipped": tuple(map(str, data.get("skipped", ()))),
            }
        )


def kept_name(environment: str, service: str) -> str:
    """The local repository name of the tags that keep a service's images from being pruned."""
    return f"relman.kept/{environment.lower()}/{service.lower()}"


def kept_in(images: Iterable[Image], entry: Deployed) -> str | None:
    """The local reference of the entry's very image among the names of `images`, or None. Pure."""
    pulled = entry.repository.at(entry.manifest)
    named = [i for i in images if i.id == entry.image_id]
    if any(entry.kept_as in i.repo_tags for i in named):
        return entry.kept_as
    return pulled if any(pulled in i.repo_digests for i in named) else None


@dataclass(frozen=True)
class Absence:
    """A host that a person left out of a deployment: of what `release`, by whom, when (RFC 3339), and why."""

    host: str
    release: str
    manifest: str
    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class HostRecord:
    """The releases put on one host, oldest first, and which of them serves (`current`, a deployment id).

    `left_out` are the hosts that took no part in the last deployment here: their own records cannot say so.
    """

    service: str
    environment: str
    entries: tuple[Deployed, ...] = ()
    current: str | None = None
    left_out: tuple[Absence, ...] = ()

    @property
    def serving(self) -> Deployed | None:
        """The entry that should be running."""
        return next((e for e in self.entries if e.id == self.current), None)

    def deployed(self, entry: Deployed) -> HostRecord:
        """`entry` is now the newest and the serving one; an older entry of the same deployment is replaced."""
        others = tuple(e for e in self.entries if e.id != entry.id)
        return replace(self, entries=(*others, entry), current=entry.id)

    def returned(self, entry: Deployed) -> HostRecord:
        """`entry` serves again in its old place; everything newer loses its proof until someone deploys it by name."""
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
        return {
            "version": VERSION,
            "service": self.service,
            "environment": self.environment,
            "current": self.current,
            "entries": [e.to_json() for e in self.entries],
            "left_out": [dataclasses.asdict(a) for a in self.left_out],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HostRecord:
        """Rebuild from `to_json`. Raises KeyError, TypeError, ValueError or UsageError."""
        if data["version"] > VERSION:
            raise ValueError(f"version {data['version']} was written by a newer relman")
        entries = tuple(Deployed.from_json(e) for e in data["entries"])
        left_out = tuple(Absence(**a) for a in data.get("left_out", ()))
        return cls(data["service"], data["environment"], entries, data["current"], left_out)


class Phase(StrEnum):
    """What the holder of a lock was about to do on this host."""

    HELD = "held"  # nothing on this host differs from its record
    CHANGING = "changing"  # the old container may be stopped, the new one may run
    RETURNING = "returning"  # the old container is being put back
    REMOVING = "removing"  # the service is being taken away from here


@dataclass(frozen=True)
class Intent:
    """What a change on this host means to do: replace container `old` by `new`.

    `old` is a container id (None on a first deployment), `old_restart` its restart policy; `new_name` names the
    container that is or will be created; `entry` is what the record is to say afterwards; `reused`
    tells that the new container is a kept one, `rollback` tells a rollback from a deployment.
    """

    old: str | None
    old_restart: str
    new_name: str
    entry: Deployed
    stop_first: bool
    reused: bool = False
    rollback: bool = False

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"entry": self.entry.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Intent:
        """Rebuild from `to_json`. Raises KeyError, TypeError, ValueError or UsageError."""
        known = {f.name: data[f.name] for f in dataclasses.fields(cls)}
        return cls(**known | {"entry": Deployed.from_json(data["entry"])})


@dataclass(frozen=True)
class Lock:
    """The lock file: who holds it, for which deployment, for how long, and what comes next.

    `token` tells two holders of the same name apart; `machine` and `pid` let the holder's own machine see that it died.
    `ttl` is in seconds since the file was last written, by the host's clock; `since` is when the holder began, RFC 3339
    in UTC by its own clock ("" from a relman that did not write it down).
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
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"version": VERSION, "intent": self.intent.to_json() if self.intent else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lock:
        """Rebuild from `to_json`. Raises KeyError, TypeError, ValueError or UsageError."""
        if data["version"] > VERSION:
            raise ValueError(f"version {data['version']} was written by a newer relman")
        known = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name != "since"}
        intent = Intent.from_json(data["intent"]) if data["intent"] else None
        since = str(data.get("since", ""))
        return cls(**known | {"phase": Phase(data["phase"]), "intent": intent, "since": since})


@dataclass(frozen=True)
class FoundLock:
    """A lock as found on a host: `age` in seconds by the host's clock; `lock` is None when its bytes make no sense."""

    lock: Lock | None
    age: float

    @property
    def expired(self) -> bool:
        """Whether its holder has let it run out."""
        return self.age > (self.lock.ttl if self.lock else 60.0)
