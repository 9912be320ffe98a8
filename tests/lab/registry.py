"""The lab's private registry: TLS from the lab's own CA unless it is to have none, a password, deletion allowed."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import yaml

from tests.lab import pki
from tests.lab.layout import Layout
from tests.lab.process import end_file, living, spawn, until

USER = "ci"
NAME = "registry.lab"


class Registry:
    """docker-registry 2.8 on the bridge's own address; everything about it is under `dir`. `auth` is how it
    knows its users, as its configuration says it, where that is not a password."""

    def __init__(
        self,
        layout: Layout,
        *,
        address: str = "",
        tls: bool = True,
        auth: Mapping[str, object] | None = None,
    ) -> None:
        self.address = address or layout.registry
        self.dir = layout.dir / ("registry" if tls else "plain-registry")
        self._tls = tls
        self.ca = self.dir / "tls" / "ca.crt"
        self.docker_config = layout.dir / "docker"
        self._layout = layout
        self._auth = auth or {"htpasswd": {"realm": "lab", "path": str(self.dir / "htpasswd")}}
        self._expected = http.client.UNAUTHORIZED if auth else http.client.OK
        self._pidfile = self.dir / "pid"

    @property
    def password(self) -> str:
        """The password of USER, made once for each lab."""
        return (self.dir / "password").read_text()

    @property
    def auth(self) -> dict[str, str]:
        """The credentials as docker-py's `auth_config` takes them."""
        return {"username": USER, "password": self.password}

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return living(self._pidfile) is not None

    def provision(self) -> None:
        """Make certificates, password, configuration and the client's config.json where they are missing."""
        pki.make_ca(self.ca.parent, self._layout.gateway, NAME)
        if not (self.dir / "password").exists():
            pki.write_private(self.dir / "password", secrets.token_urlsafe(18).encode())
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(5)).decode()
        pki.write_private(self.dir / "htpasswd", f"{USER}:{hashed}\n".encode())
        (self.dir / "config.yml").write_text(yaml.safe_dump(self._config()))
        token = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        self.docker_config.mkdir(mode=0o700, parents=True, exist_ok=True)
        login = json.dumps({"auths": {self.address: {"auth": token}}}, indent=2)
        pki.write_private(self.docker_config / "config.json", login.encode())

    def _config(self) -> dict[str, object]:
        tls = {"certificate": str(self.dir / "tls/server.crt"), "key": str(self.dir / "tls/server.key")}
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.dir / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.address, "secret": self.password} | ({"tls": tls} if self._tls else {}),
            "auth": dict(self._auth),
        }

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if not self.running:
            argv: list[str | Path] = ["docker-registry", "serve", self.dir / "config.yml"]
            spawn(argv, pidfile=self._pidfile, log=self.dir / "log")
        until(self._answers, f"the registry; see {self.dir}/log", 20)

    def stop(self) -> None:
        """Kill it: its address refuses connections from now on, its content stays."""
        end_file(self._pidfile)

    def get(self, path: str, *, password: str | None = None) -> tuple[int, bytes]:
        """GET `path` with the CA and the password (its own unless given): the status and the body."""
        return get(self.address, path, self.ca if self._tls else None, self.password if password is None else password)

    def _answers(self) -> bool:
        try:
            return self.get("/v2/")[0] == self._expected
        except OSError:
            return False


def get(address: str, path: str, ca: Path | None, password: str) -> tuple[int, bytes]:
    """GET `path` of a server of the lab as USER, without TLS where there is no CA: the status and the body."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    if ca:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    token = base64.b64encode(f"{USER}:{password}".encode())
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {token.decode()}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def trust(ca: Path, address: str, certs: Path) -> None:
    """Lay the CA where Docker looks for that of registry `address`: CERTS/HOST:PORT/ca.crt."""
    target = certs / address / "ca.crt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(ca.read_bytes())
