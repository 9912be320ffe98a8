"""An ACME authority on this machine: Let's Encrypt's own test server, Pebble, with a name server of its own."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from relman.model.proxy import Acme
from tests.lab import packages, pki
from tests.lab.doors import free_port
from tests.lab.process import until

REFUSED = "refused.example.com"
"""A name that it issues nothing for."""


@dataclass(frozen=True)
class Pebble:
    """A running authority: its port, those of its own and its name server's management, and the one that it asks hosts
    at."""

    directory: Path
    port: int
    management: int
    names: int
    asked: int

    @property
    def acme(self) -> Acme:
        """How an inventory names it."""
        return Acme(f"https://127.0.0.1:{self.port}/dir", "acme-account", ca=str(self.directory / "pki" / "ca.crt"))

    @property
    def root(self) -> Path:
        """A file with what its certificates lead to; that of another one that ran here is another."""
        context = ssl.create_default_context(cafile=self.directory / "pki" / "ca.crt")
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0", context=context) as answer:
            file = self.directory / f"root-{self.management}.pem"
            file.write_bytes(answer.read())
        return file

    def leads(self, name: str, address: str = "127.0.0.1") -> None:
        """Let this name lead to an address."""
        said = {"host": f"{name}.", "addresses": [address]}
        urllib.request.urlopen(f"http://127.0.0.1:{self.names}/add-a", json.dumps(said).encode()).close()


@contextmanager
def pebble(place: Path, *, asked: int = 80, lifetime: int = 90 * 86400, port: int = 0, **env: str) -> Iterator[Pebble]:
    """Run one with its files in `place`; its certificates count for `lifetime` seconds; `env` is Pebble's."""
    packages.install()
    pki.make_ca(place / "pki", "127.0.0.1", "pebble")
    made = Pebble(place, port or free_port(), free_port(), free_port(), asked)
    dns = free_port()
    config = {
        "listenAddress": f"127.0.0.1:{made.port}",
        "managementListenAddress": f"127.0.0.1:{made.management}",
        "certificate": str(place / "pki" / "server.crt"),
        "privateKey": str(place / "pki" / "server.key"),
        "httpPort": asked,
        "tlsPort": free_port(),
        "certificateValidityPeriod": lifetime,
        "domainBlocklist": [REFUSED],
    }
    (place / "pebble.json").write_text(json.dumps({"pebble": config}))
    nowhere = [
        word for name in ("http01", "https01", "tlsalpn01", "defaultIPv4", "defaultIPv6") for word in (f"-{name}", "")
    ]
    resolver = ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{made.names}", *nowhere]
    authority = ["pebble", "-config", str(place / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}", "-strict"]
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", **env}
    with ExitStack() as stack:
        stack.enter_context(_running(resolver, {}, place / "dns.log", made.names))
        stack.enter_context(_running(authority, quick, place / "pebble.log", made.port))
        yield made


@contextmanager
def _running(argv: list[str], env: Mapping[str, str], log: Path, port: int) -> Iterator[None]:
    def listens() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    with log.open("ab") as out:
        process = subprocess.Popen(argv, env={**os.environ, **env}, stdout=out, stderr=out)
    try:
        until(listens, f"{argv[0]} to listen; see {log}")
        yield
    finally:
        process.terminate()
        process.wait()
