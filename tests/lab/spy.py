"""A registry that nobody asked for: it has nothing, asks for a password, and remembers who sent one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.registry import trust
from tests.lab.serving import serving

PORT = 5999


@dataclass
class Spy:
    """The registry at `address`: the paths that it was `asked` for, the Authorization headers that it was `told`."""

    address: str
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@contextmanager
def spying(lab: Lab, hosts: list[LabHost]) -> Iterator[Spy]:
    """Serve it over TLS while the block runs; the engines of `hosts` trust its certificate."""
    spy = Spy(f"{lab.layout.gateway}:{PORT}")
    for host in hosts:
        trust(lab.registry.ca, spy.address, host.path("/etc/docker/certs.d"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Nobody is let in."""
            spy.asked.append(self.path)
            if told := self.headers.get("Authorization"):
                spy.told.append(told)
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="spy"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((lab.layout.gateway, PORT), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = lab.registry.ca.parent
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server):
        yield spy
