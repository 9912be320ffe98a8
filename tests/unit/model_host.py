"""A host in memory: as much of an engine and of SFTP as a rollout uses, with the ways in which they fail."""

from __future__ import annotations

import itertools
import posixpath
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from relman.hosts.ssh.connection import ChannelRefused
from relman.model.container import (
    REHEARSAL,
    RELEASE,
    SERVICE,
    TASK,
    Container,
    EngineFacts,
    Image,
    Listed,
    Network,
    RunSpec,
)
from relman.model.errors import EngineError, NotFound, Unreachable
from relman.model.host import Hop, Host
from relman.model.image import ImageId, Platform
from relman.model.settings import Binding
from relman.rollout.proxy.build import NAME as BUILD
from relman.rollout.proxy.container import LABEL, NETWORK
from tests.unit.model_proxy import ModelInside, ModelMaster, ModelNetworks, ModelProxy, ModelWorker

AMD64 = Platform("linux", "amd64")
UMASK = 0o022


class Died(BaseException):
    """relman is killed: no handler of errors sees it, and nothing more reaches any host."""


@dataclass
class ModelHost:
    """One host. `owners` are owner, group and mode with its type of what is not root's own and private, `uid` is the
    user's number. `step` is called before everything that changes it; `sick` are the releases that never get healthy
    there; `thief`, if it is set, takes the service's port in the moment in which it is free. `pulls` are the
    repositories that it was sent to, each with the login that came along; `asked` are the commands that were run in
    containers of services, each with the container's name."""

    name: str
    step: Callable[[ModelHost], None]
    clock: Callable[[], float]
    sick: frozenset[str] = frozenset()
    thief: bool = False
    haproxy: str = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"
    reachable: bool = True
    containers: dict[str, Container] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    images: dict[str, ImageId] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    files: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {"/", "/var", "/var/lib"})
    owners: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    uid: int = 0
    stopped_by_hand: set[str] = field(default_factory=set)
    full: bool = False
    pulls: list[tuple[str, Any]] = field(default_factory=list)
    unwritable: set[str] = field(default_factory=set)
    power: object = field(default_factory=object)
    proxies: dict[str, ModelProxy] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    subnet: str = ""
    dynamic: str = ""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def host(self) -> Host:
        """As an inventory names it."""
        return Host(self.name, Hop(self.name))

    @property
    def running(self) -> list[Container]:
        """What runs now."""
        return [c for c in self.containers.values() if c.running]

    @property
    def serves(self) -> str:
        """The release of which each process serves well, "mixed" where they do in several, "-" where one does not; or
        what its proxy lets requests reach."""
        if self.proxies:
            found = {each.serves for each in self.proxies.values() if each.status == "running"} or {"-"}
            return "-" if "-" in found else found.pop() if len(found) == 1 else "mixed"
        well = [
            c
            for c in self.running
            if not {TASK, REHEARSAL} & c.labels.keys() and c.labels.get(RELEASE) not in self.sick
        ]
        own = [c for c in self.containers.values() if SERVICE in c.labels and TASK not in c.labels]
        processes = {c.process for c in own or well}
        if not well or {c.process for c in well} != processes:
            return "-"
        releases = {c.labels[RELEASE] for c in well}
        return releases.pop() if len(releases) == 1 or not well[0].process else "mixed"

    @property
    def proxy(self) -> ModelProxy | None:
        """The newest proxy."""
        return next(reversed(self.proxies.values()), None)

    @property
    def dark(self) -> bool:
        """Whether nothing of one of its processes runs, well or not."""
        own = [c for c in self.containers.values() if not {TASK, REHEARSAL} & c.labels.keys()]
        return {c.process for c in own} != {c.process for c in own if c.running} or not own

    def look(self) -> None:
        """Anything that only looks."""
        if not self.reachable:
            raise Unreachable("the cable is out", host=self.name)

    def change(self) -> None:
        """Anything that changes the host."""
        self.look()
        self.step(self)
        self.look()

    def has(self, source: str) -> bool:
        """Whether a file of relman's is there, whole; of others it is not asked."""
        return not source.startswith("/var/lib/relman/") or bool(self.files.get(source, (b"", 0))[0])

    def reboot(self) -> None:
        """Cut the power: what its policy brings back runs afterwards, and of two that want one port the newer one."""
        self.power = object()
        for proxy in self.proxies.values():
            proxy.reboot()
        for id, container in self.containers.items():
            self.containers[id] = replace(container, status="exited")
        for id, container in reversed(self.containers.items()):
            policy = container.restart_policy
            wanted = policy == "always" or (policy == "unless-stopped" and id not in self.stopped_by_hand)
            sources = (m.source for m in self.settings[id].volumes if m.is_bind)
            if wanted and not self.port_taken(container) and all(map(self.has, sources)):
                self.stopped_by_hand.discard(id)  # whatever starts a container
                self.containers[id] = replace(container, status="running")

    def port_taken(self, wanted: Container) -> bool:
        """Whether another container, running or paused, has one of its ports, or its address."""
        others = [c for c in self.containers.values() if c.alive and c.id != wanted.id]
        return any(c.host_ports & wanted.host_ports or c.addresses.items() & wanted.addresses.items() for c in others)


class ModelConnection:
    """A connection to a model host."""

    def __init__(self, host: ModelHost) -> None:
        self.model = host
        self.host = host.host
        self.timeout = self.patience = 1.0
        self.gone = "the SSH connection broke"
        self.streamlocal = True

    def aside(self, work: Callable[[], Any]) -> Future[Any]:
        """At once: it has ended when this returns."""
        return self.done(work)

    @staticmethod
    def done(work: Callable[[], Any]) -> Future[Any]:
        """What has come to its end, good or bad."""
        done: Future[Any] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def together(self, *works: Callable[[], Any]) -> list[Any]:
        """One after the other, so that a change has a number."""
        return [work() for work in works]

    def unix(self, path: str) -> ModelMaster:
        """A proxy's socket."""
        self.model.look()
        whose, _, number = posixpath.basename(path).removesuffix(".sock").partition("-")
        if (proxy := self.model.proxies.get(f"relman-proxy-{number}")) is None:
            raise ChannelRefused("sshd refuses it (Connect failed)", host=self.model.name)
        return ModelMaster(proxy) if whose == "master" else ModelWorker(proxy)

    def tcp(self, _address: str, port: int, _timeout: float) -> SimpleNamespace:
        """Who accepts: what runs there, or the thief."""
        self.model.look()
        taken = any(Binding("tcp", port) in c.host_ports for c in self.model.running)
        if not (taken or self.model.thief):
            raise ChannelRefused("sshd refuses it (Connect failed)", host=self.model.name)
        return SimpleNamespace(close=lambda: None)

    @property
    def standing(self) -> object:
        """Another one after a reboot."""
        return self.model.power

    def require(self, standing: object = None) -> None:
        """The cable has to be in, and the host to have had power since."""
        if not self.alive or self.model.power is not (standing or self.model.power):
            raise Unreachable(self.gone, host=self.model.name)

    def lasting(self, work: Callable[[], Any]) -> Any:
        """It is opened again after a reboot, where the cable is in."""
        power = self.model.power
        try:
            return work()
        except Unreachable:
            if not self.alive or self.model.power is power:
                raise
            return work()

    @property
    def alive(self) -> bool:
        """Whether the cable is in."""
        return self.model.reachable

    def sftp(self) -> ModelSftp:
        """Files."""
        return ModelSftp(self.model)

    def give_up(self, why: str) -> Unreachable:
        """Nothing is open."""
        return Unreachable(why, host=self.model.name)

    def close(self) -> None:
        """Nothing is open."""


class ModelSftp:
    """OpenSSH's SFTP: rename refuses an existing target, posix_rename replaces it."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def open(self, path: str, mode: str) -> _Handle:
        """Open for reading or writing."""
        self._host.look()
        if "w" not in mode and path not in self._host.files:
            raise FileNotFoundError(path)
        if posixpath.dirname(path) not in self._host.directories:
            raise FileNotFoundError(path)
        return _Handle(self._host, path, "w" in mode)

    def write_file(self, path: str, data: bytes, mode: int, *, append: bool = False) -> int:
        """Write a whole file, or at its end; returns its size."""
        before = self._host.files[path][0] if append and path in self._host.files else b""
        with self.open(path, "w") as handle:
            handle.write(before + data)
        self._own(path, stat.S_IFREG | mode & ~UMASK)
        return len(before + data)

    def write_all(self, directories: Sequence[str], mode: int, files: Mapping[str, bytes], file_mode: int) -> None:
        """Make directories and write files anew, each a change of its own."""
        for each in directories:
            self._host.change()
            self._host.directories.add(each)
            self._own(each, stat.S_IFDIR | mode)
        for path, data in files.items():
            self.write_file(path, data, file_mode)
            self.chmod(path, file_mode)

    def read_file(self, path: str, most: int) -> tuple[bytes, float]:
        """A file's bytes and time of writing."""
        with self.open(path, "r") as handle:
            return handle.read(most)[:most], float(handle.stat().st_mtime)

    def read_end(self, path: str, most: int) -> bytes:
        """A file's last bytes."""
        with self.open(path, "r") as handle:
            return handle.read(most)[-most:]

    def lstats(self, paths: Sequence[str]) -> list[SimpleNamespace | None]:
        """Owner, group and mode of what is there."""
        self._host.look()
        return [self._lstat(path) for path in paths]

    def _lstat(self, path: str) -> SimpleNamespace | None:
        directory = path in self._host.directories
        if path == "/proc/self/.":
            uid, gid, mode = self._host.uid, self._host.uid, stat.S_IFDIR | 0o555
        elif directory or path in self._host.files or path in self._host.owners:
            plain = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o600
            uid, gid, mode = self._host.owners.get(path, (0, 0, plain))
        else:
            return None
        return SimpleNamespace(st_uid=uid, st_gid=gid, st_mode=mode)

    def _own(self, path: str, mode: int) -> None:
        """What is made belongs to the user, and in a setgid directory to its group."""
        _, group, above = self._host.owners.get(posixpath.dirname(path), (0, 0, 0))
        gid = group if above & stat.S_ISGID else self._host.uid
        inherited = above & stat.S_ISGID if stat.S_ISDIR(mode) else 0
        self._host.owners[path] = (self._host.uid, gid, mode | inherited)

    def chmod(self, path: str, mode: int) -> None:
        """Set the permissions."""
        self._host.look()
        uid, gid, before = self._host.owners[path]
        if self._host.uid not in (0, uid):
            raise PermissionError(path)
        self._host.owners[path] = (uid, gid, stat.S_IFMT(before) | mode)

    def normalize(self, path: str) -> str:
        """There is only one other place that a link leads to."""
        return f"/elsewhere{path}"

    def rename(self, old: str, new: str) -> None:
        """Rename unless the target exists."""
        self._host.change()
        if new in self._host.files:
            raise OSError("Failure")
        self._move(old, new)

    def posix_rename(self, old: str, new: str) -> None:
        """Rename over whatever is there."""
        self._host.change()
        self._move(old, new)

    def _move(self, old: str, new: str) -> None:
        if old not in self._host.files:
            raise FileNotFoundError(old)
        self._host.files[new] = self._host.files.pop(old)
        self._host.owners[new] = self._host.owners.pop(old)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._host.change()
        if path not in self._host.files:
            raise FileNotFoundError(path)
        del self._host.files[path]
        self._host.owners.pop(path, None)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self._host.change()
        if path not in self._host.directories:
            raise FileNotFoundError(path)
        if any(posixpath.dirname(f) == path for f in (*self._host.files, *self._host.directories)):
            raise OSError("Failure")
        self._host.directories.remove(path)
        self._host.owners.pop(path, None)

    def listdir(self, path: str) -> list[str]:
        """Names of files and directories."""
        self._host.look()
        if path not in self._host.directories:
            raise FileNotFoundError(path)
        there = [*self._host.files, *self._host.directories - {"/"}]
        return [posixpath.basename(f) for f in there if posixpath.dirname(f) == path]

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory, where its parent lets the user."""
        self._host.look()
        uid, _, above = self._host.owners.get(posixpath.dirname(path), (0, 0, 0o755))
        if self._host.uid not in (0, uid) and not above & stat.S_IWGRP:
            raise PermissionError(path)
        if path in self._host.directories:
            raise OSError("Failure")
        self._host.directories.add(path)
        self._own(path, stat.S_IFDIR | mode & ~UMASK)


class _Handle:
    def __init__(self, host: ModelHost, path: str, writing: bool) -> None:
        self._host, self._path = host, path
        if writing:
            host.change()
            if host.full or path in host.unwritable:
                raise OSError("Failure")
            host.files[path] = (b"", host.clock())

    def __enter__(self) -> _Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """All at once."""
        self._host.files[self._path] = (self._host.files[self._path][0] + data, self._host.clock())

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is open."""

    def read(self, _size: int) -> bytes:
        """All of it."""
        return self._host.files[self._path][0]

    def stat(self) -> SimpleNamespace:
        """Time of writing."""
        return SimpleNamespace(st_mtime=self._host.files[self._path][1])


class ModelEngine:
    """Docker, as far as a rollout can tell."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    @property
    def inside(self) -> ModelInside:
        """Commands are run in a proxy's container alone."""
        return ModelInside(self._host)

    @property
    def networks(self) -> ModelNetworks:
        """There is that of the proxy."""
        return ModelNetworks(self._host)

    def network(self, name: str) -> Network | None:
        """There is that of the proxy."""
        self._host.look()
        if not self._host.subnet or name != NETWORK:
            return None
        return Network("bridge", "172.19.0.1", self._host.subnet, self._host.dynamic)

    def name(self) -> str:
        """Docker."""
        self._host.look()
        return "Docker Engine 20.10"

    def facts(self) -> EngineFacts:
        """The engine and its clock."""
        self._host.look()
        return EngineFacts("20.10", AMD64, False, self._host.clock())

    def survey(self, labels: Mapping[str, str]) -> tuple[list[Container], list[Listed]]:
        """Newest first."""
        self._host.look()
        own = [self.inspect(c.id) for c in self._host.containers.values() if labels.items() <= c.labels.items()]
        rows = [
            Listed(c.id, c.name, c.status, c.labels, tuple(c.host_ports) if c.alive else ())
            for c in self._host.containers.values()
        ]
        proxies = [each.container for each in self._host.proxies.values() if labels.items() <= each.labels.items()]
        return [*proxies[::-1], *own[::-1]], rows

    def volumes(self) -> frozenset[str]:
        """All volumes by name."""
        self._host.look()
        return frozenset(self._host.volumes)

    def inspect(self, name: str) -> Container:
        """By id or name."""
        self._host.look()
        for proxy in self._host.proxies.values():
            if name in (proxy.id, proxy.name):
                return proxy.container
        for container in self._host.containers.values():
            if name in (container.id, container.name):
                health = "unhealthy" if container.labels.get(RELEASE) in self._host.sick else "healthy"
                return replace(container, health=health if container.running else "")
        raise NotFound(f"container {name}: not found", host=self._host.name, status=404)

    def pull(self, repository: Any, digest: Any, auth: Any, _progress: Any) -> None:
        """The registry has everything that tests/unit/values.py names."""
        self._host.change()
        self._host.pulls.append((str(repository), auth))
        self._host.images[repository.at(digest)] = self._image_of[str(digest)]

    _image_of: dict[str, ImageId] = {}  # noqa: RUF012  # filled by the fleet

    def images(self, *names: str) -> list[Image]:
        """Those that have a name of these, with the names that are of these."""
        self._host.look()
        found: dict[ImageId, list[str]] = {}
        for reference, image in self._host.images.items():
            if (reference.partition("@")[0] if "@" in reference else reference.rpartition(":")[0]) in names:
                found.setdefault(image, []).append(reference)
        return [
            Image(i, tuple(r for r in named if "@" not in r), tuple(r for r in named if "@" in r), AMD64)
            for i, named in found.items()
        ]

    def keep(self, image: ImageId, tag: str) -> None:
        """One more name."""
        self._host.change()
        if image not in self._host.images.values():
            raise NotFound(f"image {image}: not found", host=self._host.name, status=404)
        self._host.images[tag] = image

    def remove_image(self, reference: str) -> None:
        """One name less."""
        self._host.change()
        if self._host.images.pop(reference, None) is None:
            raise NotFound(f"image {reference}: not found", host=self._host.name, status=404)

    def create(self, spec: RunSpec) -> str:
        """Not started."""
        self._host.change()
        if LABEL in spec.labels:
            return ModelProxy.created(self._host, spec).id
        self._require_secrets(spec.settings)
        id = spec.name if spec.name == BUILD else f"{next(self._host.numbers):064x}"
        self._host.containers[id] = Container(
            id=id,
            name=spec.name,
            image_id=self._host.images[spec.image],
            status="created",
            labels=dict(spec.labels),
            host_ports=frozenset(p.binding for p in spec.settings.ports if p.binding),
            restart_policy=spec.settings.restart,
            addresses=dict(spec.addresses),
        )
        self._host.settings[id] = spec.settings
        self._host.volumes |= {m.source for m in spec.settings.volumes if not m.is_bind}
        return id

    def start(self, id: str) -> None:
        """Unless its port is taken; it is not asked twice, where the connection is lost meanwhile."""
        power = self._host.power
        self._host.change()
        if self._host.power is not power:
            raise Unreachable("the SSH connection broke", host=self._host.name)
        if proxy := self._proxy(id):
            proxy.start()
            return
        container = self._of(id)
        if container.running:
            return
        if container.paused:
            raise EngineError("cannot start a paused container, try unpause instead", host=self._host.name, status=409)
        self._require_secrets(self._host.settings[id])
        if self._host.port_taken(container) or (self._host.thief and container.host_ports):
            raise EngineError("port is already allocated", host=self._host.name, status=500)
        self._host.stopped_by_hand.discard(id)
        self._host.containers[id] = replace(container, status="exited" if id == BUILD else "running")

    def _require_secrets(self, settings: Any) -> None:
        """A bind's source has to be there, when a container is made and whenever it starts."""
        for mount in settings.volumes:
            if mount.is_bind and not self._host.has(mount.source):
                said = f"bind source path does not exist: {mount.source}"
                raise EngineError(said, host=self._host.name, status=400)

    def stop(self, id: str, _timeout: int) -> None:
        """A stop by hand counts for unless-stopped."""
        self._host.change()
        if proxy := self._proxy(id):
            proxy.status = "exited"
            return
        self._host.containers[id] = replace(self._of(id), status="exited")
        self._host.stopped_by_hand.add(id)

    def set_restart(self, id: str, policy: str) -> None:
        """Fails on a full disk, as Docker's does."""
        self._host.change()
        if self._host.full:
            raise EngineError("no space left on device", host=self._host.name, status=500)
        if proxy := self._proxy(id):
            proxy.policy = policy
            return
        self._host.containers[id] = replace(self._of(id), restart_policy=policy)

    def require_updates(self) -> None:
        """It can."""
        self._host.look()

    def remove(self, id: str) -> None:
        """Only what does not run."""
        self._host.change()
        if proxy := self._proxy(id):
            assert proxy.status != "running"
            del self._host.proxies[proxy.name]
            return
        if self._of(id).alive:
            raise EngineError("is running", host=self._host.name, status=409)
        del self._host.containers[id]

    def logs(self, id: str, tail: int) -> Sequence[str]:  # noqa: ARG002  # the engine's own name
        """It says nothing, but for what is to say what HAProxy is."""
        return [self._host.haproxy] if id == BUILD else []

    def resume(self, id: str) -> None:
        """One that is paused goes on as it was."""
        self._host.change()
        proxy = self._proxy(id)
        assert proxy
        assert proxy.status == "paused"
        proxy.status = "running"

    def signal(self, id: str, _name: str) -> None:
        """A proxy ends when it has answered."""
        self.stop(id, 0)

    def _proxy(self, id: str) -> ModelProxy | None:
        return next((each for each in self._host.proxies.values() if each.id == id), None)

    def _of(self, id: str) -> Container:
        if id not in self._host.containers:
            raise NotFound(f"container {id}: not found", host=self._host.name, status=404)
        return self._host.containers[id]
