"""What the proxy of a host is and routes, as the host keeps it. Its configuration is rendered from this alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from relman.model.formats.untrusted_json import read
from relman.model.formats.versions import plain, unversioned
from relman.model.proxy import Backend, Certificate, Challenge, HostProxy

_VERSION = 1


@dataclass(frozen=True)
class ProxyState:
    """`image` is the local reference of the image that runs; `backends` are those of all services and environments of
    the host, in the order of their names; `certificates` are those that lie there. `number` tells its container and its
    sockets from those of the one before, beside which it may run for a while; `page` is the name of the file that it
    answers with in the place of a service that cannot. `overwritten` counts the edited configurations that this one
    came in the place of, by which it is told from them; `owner` are the user and the group whose relman speaks to it;
    `challenges` are those of an ACME authority that it answers."""

    proxy: HostProxy
    image: str
    backends: tuple[Backend, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    number: int = 1
    page: str = ""
    overwritten: int = 0
    owner: tuple[int, int] = (0, 0)
    challenges: tuple[Challenge, ...] = ()

    @property
    def container(self) -> str:
        """The name of its container."""
        return f"relman-proxy-{self.number}"

    @property
    def list_of_certificates(self) -> str:
        """The name of the file that lists their files: another list is another file."""
        files = " ".join(each.file for each in self.certificates)
        return f"list-{hashlib.sha256(files.encode()).hexdigest()[:16]}.txt"

    def backend(self, name: str) -> Backend | None:
        """The backend of this name, or None."""
        return next((b for b in self.backends if b.name == name), None)

    def having(self, backend: Backend) -> ProxyState:
        """The same with this backend, in the place of the one of its name."""
        return self._with([*(b for b in self.backends if b.name != backend.name), backend])

    def without(self, name: str) -> ProxyState:
        """The same without the backend of this name."""
        return self._with([b for b in self.backends if b.name != name])

    def _with(self, backends: list[Backend]) -> ProxyState:
        return replace(self, backends=tuple(sorted(backends, key=lambda b: b.name)))

    def claimed(self, backend: Backend) -> str:
        """What of its route another service has already, and which; "" if it may have its route."""
        proxy = self.proxy
        own = ((proxy.http, "HTTP"), (proxy.https, "HTTPS"), (proxy.metrics, "metrics"))
        ports = {f"port {port}": f"the proxy's {what}" for port, what in own if port}
        taken = ports | {
            way: other.name for other in self.backends for way in other.route.ways if other.name != backend.name
        }
        return next((f"{way} is taken by {taken[way]}" for way in backend.route.ways if way in taken), "")

    @property
    def ports(self) -> frozenset[int]:
        """The ports of the host that it listens on."""
        https = {self.proxy.https} if self.certificates else set()
        metrics = {self.proxy.metrics} if self.proxy.metrics else set()
        return frozenset(
            {self.proxy.http, *https, *metrics, *(b.route.listen for b in self.backends if b.route.listen)}
        )

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of all servers."""
        return frozenset(server.address for backend in self.backends for server in backend.servers)

    def to_json(self) -> dict[str, Any]:
        """Its JSON form, read back by `from_json`."""
        return {"version": _VERSION, **plain(self)}

    @classmethod
    def from_json(cls, data: Any) -> ProxyState:
        """Read it. Raises Misread, and Newer if a newer relman wrote it."""
        return read(cls, unversioned(data))
