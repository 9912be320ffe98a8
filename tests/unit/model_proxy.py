"""A proxy in memory: as much of HAProxy's master as relman uses, and where requests would go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relman.docker.container_exec import Ran
from relman.model.container import RELEASE, Container, RunSpec
from relman.model.errors import EngineError
from relman.model.image import ImageId
from relman.model.proxy import HostProxy
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.container import LABEL, LABELLED, NETWORK
from relman.rollout.proxy.haproxy_cfg import loaded_as, rendered
from tests.unit.values import hexes

if TYPE_CHECKING:
    from tests.unit.model_host import ModelHost

PLACE = "/var/lib/relman/_proxy"
CONFIG, STATE = f"{PLACE}/etc/haproxy.cfg", f"{PLACE}/state/record.json"
IMAGE = ImageId(f"sha256:{'f' * 64}")
SUBNET = "172.19.0.0/24"


@dataclass
class ModelProxy:
    """The proxy of a host, and its container's `status` and image.

    `loaded` is the configuration that its worker has; while it is `broken` no other one can be loaded, and while it is
    `refusing` none is good; while it is `slow` that is never known. A worker that has requests with servers (`busy`, by
    BACKEND/SERVER, and how often they are still seen) becomes an `old` one by a reload, and ends when it has none.
    Whenever it is asked for its statistics, `users` have made so many more requests, of which so many failed; `served`
    are those of its worker. Unless it `tells` them, it says nothing of users.
    """

    host: ModelHost
    name: str = "relman-proxy-1"
    image: ImageId = IMAGE
    status: str = "running"
    policy: str = "unless-stopped"
    taken_over: str = ""
    loaded: str = ""
    worker: int = 2
    failed: int = 0
    broken: bool = False
    refusing: bool = False
    slow: bool = False
    reloads: int = 0
    busy: Mapping[str, int] = field(default_factory=dict)
    old: dict[int, dict[str, int]] = field(default_factory=dict)
    users: tuple[int, int] = (0, 0)
    served: tuple[int, int] = (0, 0)
    tells: bool = True

    @classmethod
    def on(cls, host: ModelHost) -> ModelProxy:
        """A proxy that routes nothing yet."""
        host.subnet, host.dynamic = SUBNET, "172.19.0.128/25"
        proxy, state = cls(host), ProxyState(HostProxy("haproxy", keep_alive=0.01), "haproxy@sha256:0")
        for path in (PLACE, *(f"{PLACE}/{each}" for each in ("state", "etc", "run", "certificates"))):
            host.directories.add(path)
        text = rendered(state)
        host.files[CONFIG], host.files[STATE] = (text.encode(), 0.0), (json.dumps(state.to_json()).encode(), 0.0)
        host.directories.add("/var/lib/relman")
        proxy.loaded = text
        host.proxies = {proxy.name: proxy}
        return proxy

    @classmethod
    def created(cls, host: ModelHost, spec: RunSpec) -> ModelProxy:
        """Another one, not started."""
        assert spec.name not in host.proxies
        proxy = cls(host, spec.name, host.images[spec.image], "created")
        command = spec.settings.command or ()
        proxy.taken_over = command[command.index("-x") + 1] if "-x" in command else ""
        host.proxies[proxy.name] = proxy
        return proxy

    @property
    def id(self) -> str:
        """Its container's."""
        return hexes(self.name)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its container's."""
        return {LABEL: LABELLED}

    @property
    def container(self) -> Container:
        """Its container."""
        return Container(self.id, self.name, self.image, self.status, restart_policy=self.policy)

    def start(self) -> None:
        """It takes over the listeners of one that runs, or nobody has them."""
        running = [each.name for each in self.host.proxies.values() if each.status == "running" and each is not self]
        assert [f"/run/relman/{name.replace('relman-proxy', 'admin')}.sock" for name in running[-1:]] == [
            *filter(None, [self.taken_over])
        ]
        self.restart()

    def reboot(self) -> None:
        """It comes back if it ran, and its policy says so."""
        ran, self.status, self.old = self.status in ("running", "paused"), "exited", {}
        if ran and self.policy != "no":
            self.restart()

    def restart(self) -> None:
        """It begins anew, with the file as it is."""
        self.status = "running"
        if str(self.image) in self.host.sick:
            return
        self.served = (0, 0)
        self.loaded, self.worker, self.failed = self.host.files[CONFIG][0].decode(), self.worker + 1, 0

    def answer(self, line: str) -> str:
        """What the master says."""
        if self.status != "running":
            return ""
        if line == "reload":
            self.host.change()
            if self.status != "running":
                return ""
            self.reloads += 1
            if self.broken and self.host.files[CONFIG][0].decode() != self.loaded:
                self.failed += 1
            else:
                self.old |= {self.worker: dict.fromkeys(self.servers, 0) | dict(self.busy)} if self.busy else {}
                self.restart()
            return ""
        if not self.loaded:
            return ""
        if line.startswith("@1 show stat"):
            return self.counts(line.removeprefix("@1 "))
        if line == "@1 show info":
            version = self.host.haproxy.split()[2]
            return f"Name: HAProxy\nVersion: {version}\ndescription: {loaded_as(self.loaded)}\n"
        if line.startswith("@!"):
            return self._seen(int(line[2:].split()[0]))
        old = "".join(f"{pid} worker 1 0d\n" for pid in self.old)
        workers = f"# workers\n{self.worker} worker 0 0d\n# old workers\n{old}# programs\n\n"
        return f"1 master {self.reloads} [failed: {self.failed}] 0d\n{workers}"

    def counts(self, line: str) -> str:
        """What its worker says on its own socket."""
        if not self.tells:
            return ""
        if line == "show info":
            return f"Pid: {self.worker}\nCurrConns: 0\n"
        if line.startswith("show stat"):
            self.served = (self.served[0] + self.users[0], self.served[1] + self.users[1])
            requests, failed = self.served
            return f"# pxname,svname,req_tot,hrsp_5xx,mode\nproduction:shop,BACKEND,{requests},{failed},http\n"
        return f"0x1: key=production:shop use=0 gpc3={self.served[0]}\n" if line.startswith("show table") else ""

    def _seen(self, worker: int) -> str:
        """What an old worker has, which is less each time."""
        if worker not in self.old:
            return "Can't find the target PID matching the prefix '@!'\n"
        rows = "".join(f"{key.replace('/', ',')},{int(count > 0)}\n" for key, count in self.old[worker].items())
        self.old[worker] = {key: count - 1 for key, count in self.old[worker].items()}
        if all(count < 0 for count in self.old[worker].values()):
            del self.old[worker]
        return f"# pxname,svname,scur\n{rows}\n"

    @property
    def servers(self) -> dict[str, str]:
        """All servers of the configuration that is loaded, as BACKEND/SERVER, with their addresses."""
        found, backend = dict[str, str](), ""
        for line in self.loaded.splitlines():
            word, name, *rest = [*line.split(), "", ""]
            backend = name if line.startswith("backend ") else backend
            if line.startswith("  ") and word == "server":
                found[f"{backend}/{name}"] = rest[0].rpartition(":")[0]
        return found

    @property
    def serves(self) -> str:
        """The release that requests reach; "-" where one would reach nobody, or nobody well."""
        addresses = {address for key, address in self.servers.items() if key.startswith("production:shop/")}
        sick, running = self.host.sick, self.host.running
        well = {c.addresses.get(NETWORK): c.labels[RELEASE] for c in running if c.labels.get(RELEASE) not in sick}
        if not addresses or not addresses <= well.keys():
            return "-"
        releases = {well[each] for each in addresses}
        return releases.pop() if len(releases) == 1 else "mixed"


class ModelInside:
    """Commands in containers."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def run(self, container: Container, argv: tuple[str, ...], _seconds: float) -> Ran:
        """In a proxy's the check of a file that is there."""
        self._host.look()
        if container.name not in self._host.proxies:
            assert container.running
            self._host.asked.append((container.name, argv))
            if argv == ("fails",):
                raise EngineError("no such program", host=self._host.name, status=400)
            return Ran(1)
        assert f"{CONFIG}.next" in self._host.files
        assert argv[:2] == ("haproxy", "-c")
        proxy = self._host.proxies[container.name]
        return Ran(None) if proxy.slow else Ran(1, "[ALERT] bad file") if proxy.refusing else Ran(0)


class ModelNetworks:
    """The networks of an engine: that of the proxy."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def create(self, _name: str, *, subnet: str = "", dynamic: str = "") -> None:
        """With the subnet that was given, or another one."""
        self._host.change()
        assert not self._host.subnet
        assert bool(subnet) is bool(dynamic)
        self._host.subnet, self._host.dynamic = subnet or SUBNET, dynamic

    def remove(self, _name: str) -> None:
        """Unless somebody is in it."""
        self._host.change()
        assert self._host.subnet
        self._host.subnet = self._host.dynamic = ""

    def move(self, container: str, name: str, address: str, _aliases: object) -> None:
        """Out of it, and in again."""
        for addresses in ({}, {name: address}):
            self._host.change()
            found = self._host.containers[container]
            assert not found.alive
            self._host.containers[container] = replace(found, addresses=addresses)

    def addresses(self, name: str) -> frozenset[str]:
        """The fixed addresses."""
        self._host.look()
        return frozenset(c.addresses[name] for c in self._host.containers.values() if name in c.addresses)


class ModelMaster:
    """A channel to the master's socket."""

    def __init__(self, proxy: ModelProxy) -> None:
        self._proxy, self._answer = proxy, b""

    def send(self, data: bytes) -> int:
        """One command."""
        self._answer = self._proxy.answer(data.decode().strip()).encode()
        return len(data)

    def recv(self, _size: int) -> bytes:
        """All of the answer, then its end."""
        answer, self._answer = self._answer, b""
        return answer

    def shutdown_write(self) -> None:
        """Nothing more comes."""

    def settimeout(self, _seconds: float) -> None:
        """It is never late."""

    def close(self) -> None:
        """Nothing is open."""


class ModelWorker(ModelMaster):
    """A channel to a worker's own socket, which stays open."""

    def send(self, data: bytes) -> int:
        """One command; the answer ends with a prompt."""
        self._answer = f"{self._proxy.counts(data.decode().strip())}\n> ".encode()
        return len(data)
