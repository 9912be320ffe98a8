"""A host's record of one service in one environment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from relman.model.container import Image
from relman.model.errors import UsageError
from relman.model.formats.untrusted_json import Misread, read
from relman.model.formats.versions import plain, unversioned, version_of
from relman.model.grants.secrets import SECRET_NAME, SecretSet
from relman.model.image import ConfigDigest, ImageId, ManifestDigest, Repository, check_tag
from relman.model.proxy import ServiceRoute
from relman.model.reference import familiar
from relman.model.settings import DeploySettings

_SHA256 = re.compile(r"[0-9a-f]{64}")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SALT = re.compile(r"(?:[0-9a-f]{2}){8,64}")
CONTAINER = re.compile(r"[0-9a-f]{64}")
CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,511}")


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


@dataclass(frozen=True)
class Deployed:
    """One release as deployed on this host: sufficient to deploy it again without registry, checkout or ledger.

    `id` is the deployment's; `image_id` this host's id of the image, `kept_as` the local tag that protects it from
    pruning. `proven` is whether a deployment of it finished healthy, was read back, and was never rolled back.
    `verified` is False if there was no health check. `skipped` describes each gate that a person skipped for this
    release, and is shown as long as the release is here. `at` is RFC 3339 in UTC, by the deployer's clock. `secrets`
    are the values that the host keeps for it, `files` is the deployment that wrote its files there, "" if it has none.
    `route` is what the environment routed to it.
    `container` is that of a service without processes; a service with processes has `units`. `hosts` are all that it
    was deployed to, where the entry is of version 2.
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
    hosts: tuple[str, ...] = ()
    files: str = ""
    route: ServiceRoute | None = None

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

    def among(self, hosts: tuple[str, ...]) -> Deployed:
        """The same, deployed to these hosts, too; an entry of version 1 has no room for that."""
        if version_of(self) == 1:
            return self
        return replace(self, hosts=tuple(dict.fromkeys((*self.hosts, *hosts))))


def kept_name(environment: str, service: str) -> str:
    """The local repository name of the tags that protect a service's images from pruning."""
    return f"relman.kept/{environment.lower()}/{service.lower()}"


def kept_in(images: Iterable[Image], entry: Deployed) -> str | None:
    """The local reference of the entry's exact image among `images`, or None. Pure."""
    pulled = entry.repository.at(entry.manifest)
    named = [i for i in images if i.id == entry.image_id]
    if any(entry.kept_as in i.repo_tags for i in named):
        return entry.kept_as
    return pulled if any(familiar(pulled) in i.repo_digests for i in named) else None


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
class Peer:
    """Another host, as a record names it: the last `release` that was deployed to it, or that it was left out of, `at`
    (RFC 3339)."""

    host: str
    release: str
    at: str


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

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The hosts that it names, each once."""
        deployed = [Peer(host, entry.release, entry.at) for entry in self.entries for host in entry.hosts]
        left_out = [Peer(absence.host, absence.release, absence.at) for absence in self.left_out]
        found = sorted((*left_out, *deployed), key=lambda known: known.at)
        return tuple({known.host: known for known in found}.values())

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
            check_entry(entry, record.environment, record.service, f"entries[{number}]")
        ids = [e.id for e in record.entries]
        if len(set(ids)) < len(ids):
            raise Misread("entries", "two of them have the same id")
        if record.current is not None and record.current not in ids:
            raise Misread("current", "no entry has this id")
        return record


def check_entry(entry: Deployed, environment: str, service: str, key: str) -> None:
    """Raise Misread unless the entry's names have the form that relman writes."""
    keeper, _, tag = entry.kept_as.partition(":")
    require(ID.fullmatch(entry.id), f"{key}.id", "a deployment's id")
    require(_is_tag(entry.release), f"{key}.release", "a tag")
    wanted = kept_name(environment, service)
    require(keeper == wanted and _is_tag(tag), f"{key}.kept_as", f"{wanted} and a tag")
    require(not entry.container or CONTAINER.fullmatch(entry.container), f"{key}.container", "a container's id")
    for secret in entry.settings.every_secret:
        require(SECRET_NAME.fullmatch(secret.name), f"{key}.settings.secrets", "names of secrets")
    if entry.settings.every_file:
        require(ID.fullmatch(entry.files), f"{key}.files", "a deployment's id")
    for file in entry.settings.every_file:
        require(_SHA256.fullmatch(file.digest), f"{key}.settings.files", "SHA-256 of files")
    if entry.secrets:
        require(ID.fullmatch(entry.secrets.directory), f"{key}.secrets.directory", "a deployment's id")
        require(_SALT.fullmatch(entry.secrets.salt), f"{key}.secrets.salt", "hexadecimal digits")
    for number, unit in enumerate(entry.units):
        own = f"{key}.units[{number}]"
        require(not unit.container or CONTAINER.fullmatch(unit.container), f"{own}.container", "a container's id")
        require(CONTAINER_NAME.fullmatch(unit.name), f"{own}.name", "a container's name")
    named = {(p.name, n) for p in entry.settings.processes for n in range(1, p.replicas + 1)}
    found = [(u.process, u.replica) for u in entry.units]
    require(sorted(found) == sorted(named), f"{key}.units", "one for each replica of each process")


def _is_tag(text: str) -> bool:
    try:
        return bool(check_tag(text))
    except UsageError:
        return False


def require(fits: object, key: str, what: str) -> None:
    """Raise Misread unless what was read is what it should be."""
    if not fits:
        raise Misread(key, f"expected {what}")
