"""A registry in this process, by the distribution specification 1.1, that can misbehave on demand."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.contract.content import Content, Query, Reply, Store
from tests.lab.serving import serving

USERNAME, PASSWORD, REFRESH_TOKEN = "ci", "pass: wörd", "refresh-me"


Access = frozenset[tuple[str, str]]
"""What a token lets do: repositories and actions."""

Fault = Callable[[Callable[[], Reply]], Reply | None]
"""Stands before the handling of one request: calls it or not, and gives the answer, or None to hang up."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to tell."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Simulator:
    """`auth` is "basic", "token" or "" for none; `page` tags a page at most; `native` has the referrers API.

    A mount that the token does not let read its source is challenged, as docker-registry does it, or with `lenient`
    begins an upload, as others do. A token is for one repository alone where they are `separate`, and never for what
    is in `deny`.
    """

    def __init__(
        self,
        *,
        auth: str = "basic",
        page: int = 1000,
        native: bool = False,
        lenient: bool = False,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.auth = auth
        self.lenient = lenient
        self.separate = False
        self.deny: Access = frozenset()
        self._numbers = itertools.count()
        self.content = Content(page, native)
        self.queries: list[Query] = []
        self.tokens: dict[str, Access] = {}
        self._faults: list[tuple[re.Pattern[str], Fault]] = []
        self._lock = threading.RLock()
        self._server = _Server(address, _handler(self))
        self.host = f"{address[0]}:{self._server.server_port}"

    @property
    def stores(self) -> dict[str, Store]:
        """What each repository holds."""
        return self.content.stores

    @property
    def log(self) -> list[str]:
        """The requests so far, each as "METHOD PATH"."""
        return [f"{q.method} {q.path}" for q in self.queries]

    @contextmanager
    def running(self) -> Iterator[Simulator]:
        """Serve until left."""
        with serving(self._server):
            yield self

    def misbehave(self, pattern: str, *faults: Fault) -> None:
        """Let each of `faults` have one of the next requests whose "METHOD PATH" matches `pattern`."""
        self._faults += [(re.compile(pattern), fault) for fault in faults]

    def behave(self) -> None:
        """Forget all faults that nobody met."""
        self._faults.clear()

    def answer(self, query: Query) -> Reply | None:
        """Handle one request."""
        line = f"{query.method} {query.path}"
        with self._lock:
            self.queries.append(query)
            chosen = next((f for f in self._faults if f[0].search(line)), None)
            if chosen:
                self._faults.remove(chosen)
        return chosen[1](lambda: self._handle(query)) if chosen else self._handle(query)

    def _handle(self, query: Query) -> Reply:
        with self._lock:
            if query.path == "/token":
                return self._token(query)
            found = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags|referrers)/(.+)", query.path)
            if not found:
                return Reply(404)
            name, kind, rest = found.groups()
            if refused := self._refuse(query, name):
                return refused
            return self.content.answer(name, kind, rest, query)

    def _refuse(self, query: Query, name: str) -> Reply | None:
        given = query.headers.get("authorization", "")
        if self.auth == "basic" and given != _basic():
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="simulator, of one"'})
        if self.auth == "token":
            return self._challenge(query, name, self.tokens.get(given.removeprefix("Bearer "), frozenset()))
        return None

    def _challenge(self, query: Query, name: str, granted: Access) -> Reply | None:
        writes = query.method in ("PUT", "POST", "PATCH")
        own = {(name, "pull"), (name, "push")} if writes else {(name, "pull")}
        source = query.parameters.get("from")
        wanted = own | ({(source, "pull")} if source else set())
        if wanted <= granted:
            return None
        if source and self.lenient and own <= granted:
            query.parameters.pop("from")
            return None
        asked = {n: ",".join(sorted(a for m, a in wanted if m == n)) for n in sorted({n for n, _ in wanted})}
        scope = " ".join(f"repository:{n}:{actions}" for n, actions in asked.items())
        return Reply(
            401,
            headers={
                "WWW-Authenticate": f'Bearer realm="http://{self.host}/token",service="simulator",scope="{scope}"'
            },
        )

    def _token(self, query: Query) -> Reply:
        form = {k: v[0] for k, v in parse_qs(query.body.decode()).items()}
        known = form.get("refresh_token") == REFRESH_TOKEN or query.headers.get("authorization") == _basic()
        if not known:
            return Reply(401)
        scopes = (form | query.parameters)["scope"].split()
        token = f"token-{next(self._numbers)}"
        self.tokens[token] = access(scopes[:1] if self.separate else scopes) - self.deny
        return Reply(200, json.dumps({"token": token}).encode())


def access(scopes: Iterable[str]) -> Access:
    """What the scopes of a token request ask for (distribution, token authentication)."""
    parts = [text.split(":") for text in scopes]
    return frozenset((name, action) for _, name, actions in parts for action in actions.split(","))


def busy(status: int = 429, wait: str | None = None) -> Fault:
    """Answer `status`, with Retry-After."""
    return lambda _: Reply(status, headers={"Retry-After": wait} if wait else {})


def hang_up(_: Callable[[], Reply]) -> None:
    """Close the connection without an answer and without doing anything."""


def changed(change: Callable[[Reply], object]) -> Fault:
    """Do as asked, but `change` the answer first."""

    def fault(handle: Callable[[], Reply]) -> Reply:
        reply = handle()
        change(reply)
        return reply

    return fault


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


def _handler(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            url = urlsplit(self.path)
            parameters = {k: " ".join(v) for k, v in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {k.lower(): v for k, v in self.headers.items()}
            reply = simulator.answer(Query(self.command, unquote(url.path), parameters, headers, body))
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self._write(reply)
            self.close_connection = self.close_connection or reply.sent is not None

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve  # noqa: N815 - names given by http.server

        def _write(self, reply: Reply) -> None:
            step = 1 if reply.drip else max(1, len(reply.body))
            for start in range(0, len(reply.body[: reply.sent]), step):
                self.wfile.write(reply.body[: reply.sent][start : start + step])
                self.wfile.flush()
                if reply.drip and reply.drip.wait(0.02):
                    return

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
