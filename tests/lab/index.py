"""The lab's private package index: TLS from the lab's own CA, a password for everything."""

from __future__ import annotations

import http.client
import secrets
import sys
from pathlib import Path

from tests.lab import pki
from tests.lab.layout import Layout
from tests.lab.process import end_file, living, spawn, until
from tests.lab.registry import USER, Registry, get

SERVER = Path(__file__).with_name("index_server.py")


class PackageIndex:
    """pypiserver on the bridge's own address; everything about it is under `dir`, certificates are the registry's."""

    def __init__(self, layout: Layout, registry: Registry) -> None:
        self.address = layout.index
        self.url = f"https://{self.address}/"
        self.dir = layout.dir / "index"
        self.files = self.dir / "files"
        self.ca = registry.ca
        self._pidfile = self.dir / "pid"

    @property
    def password(self) -> str:
        """The password of USER, made once for each lab."""
        return (self.dir / "password").read_text()

    @property
    def env(self) -> dict[str, str]:
        """The variables with which relman uses it; without the password until there is a lab."""
        made = (self.dir / "password").exists()
        login = {"RELMAN_INDEX_USERNAME": USER, "RELMAN_INDEX_PASSWORD": self.password} if made else {}
        return {"RELMAN_INDEX_CA": str(self.ca), "RELMAN_INDEX": self.address, **login}

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return living(self._pidfile) is not None

    def provision(self) -> None:
        """Make its directory and password where they are missing; the registry has been provisioned."""
        self.files.mkdir(parents=True, exist_ok=True)
        if not (self.dir / "password").exists():
            pki.write_private(self.dir / "password", secrets.token_urlsafe(18).encode())

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if not self.running:
            tls = [self.ca.with_name(name) for name in ("server.crt", "server.key")]
            argv: list[str | Path] = [sys.executable, SERVER, self.address, self.dir, USER, *tls]
            spawn(argv, pidfile=self._pidfile, log=self.dir / "log")
        until(self._answers, f"the package index; see {self.dir}/log", 20)

    def stop(self) -> None:
        """Kill it: its address refuses connections from now on, its content stays."""
        end_file(self._pidfile)

    def names(self) -> list[str]:
        """The files that it holds."""
        return sorted(file.name for file in self.files.iterdir())

    def _answers(self) -> bool:
        try:
            return get(self.address, "/simple/", self.ca, self.password)[0] == http.client.OK
        except OSError:
            return False
