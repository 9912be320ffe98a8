"""A token service for the real registry (distribution, token authentication), over TLS: it grants what is asked for.

https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import base64
import itertools
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.lab.serving import serving

ISSUER, SERVICE = "relman lab", "registry"


class TokenService:
    """Answers with the registry's own certificate, and signs by its key; `asked` are the scopes of each request."""

    def __init__(self, tls: Path, login: str) -> None:
        self.asked: list[list[str]] = []
        self._login = login
        self._key = load_pem_private_key((tls / "server.key").read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate((tls / "server.crt").read_bytes())
        self._numbers = itertools.count()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.crt", tls / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.realm = f"https://127.0.0.1:{self._server.server_port}/token"

    @contextmanager
    def running(self) -> Iterator[TokenService]:
        """Serve until left."""
        with serving(self._server):
            yield self

    def answer(self, scopes: list[str], authorization: str) -> tuple[int, bytes]:
        """A token for all of `scopes`, for who knows the password."""
        if authorization != self._login:
            return 401, b"{}"
        self.asked.append(scopes)
        return 200, json.dumps({"token": self._token(scopes)}).encode()

    def _token(self, scopes: list[str]) -> str:
        now = int(time.time())
        parts = [scope.split(":") for scope in scopes]
        claims = {
            "iss": ISSUER,
            "sub": "ci",
            "aud": SERVICE,
            "nbf": now - 10,
            "iat": now,
            "exp": now + 600,
            "jti": str(next(self._numbers)),
            "access": [{"type": t, "name": n, "actions": actions.split(",")} for t, n, actions in parts],
        }
        chain = [base64.b64encode(self._certificate.public_bytes(Encoding.DER)).decode()]
        signed = f"{_text({'typ': 'JWT', 'alg': 'ES256', 'x5c': chain})}.{_text(claims)}"
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        pair = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_coded(b''.join(n.to_bytes(32, 'big') for n in pair))}"


def _text(document: dict[str, object]) -> str:
    return _coded(json.dumps(document).encode())


def _coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _handler(service: TokenService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            status, body = service.answer(scopes, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
