"""A private package index (pypiserver) over TLS: python index_server.py HOST:PORT DIRECTORY USER CERTIFICATE KEY.

DIRECTORY/password holds USER's password; the files are in DIRECTORY/files. Everything needs the password.
"""

from __future__ import annotations

import hmac
import socketserver
import ssl
import sys
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

# Its password files are not used here, and the library that reads them does not work with the bcrypt of today.
sys.modules["bcrypt"] = None  # type: ignore[assignment]
import pypiserver  # type: ignore[import-untyped]  # noqa: E402


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each connection: pip keeps one open."""

    daemon_threads = True
    request_queue_size = 128  # five is the default: more comers at once wait for seconds, or give up


class Quiet(WSGIRequestHandler):
    """Says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def main(address: str, directory: Path, known: str, certificate: str, key: str) -> None:
    """Serve until killed."""
    password = (directory / "password").read_text()

    def auther(user: str, given: str) -> bool:
        return user == known and hmac.compare_digest(given.encode(), password.encode())

    app = pypiserver.app(
        roots=[directory / "files"],
        authenticate=["update", "list", "download"],
        auther=auther,
        disable_fallback=True,
        hash_algo="sha256",
    )
    host, port = address.split(":")
    server = make_server(host, int(port), app, Server, Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
