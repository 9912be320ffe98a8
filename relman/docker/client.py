"""The Engine API's client over SSH: JSON and streams, and the one edge where what the libraries raise is translated."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from urllib3 import BaseHTTPResponse

from relman.docker.channels import EngineChannels
from relman.docker.no_engine import socket_hint
from relman.hosts.ssh.bounded import Bounds, Late, TooLarge
from relman.hosts.ssh.connection import Connection
from relman.hosts.ssh.foreign_errors import chain, late, said
from relman.model.errors import EngineError, NotFound, RelmanError, Unreachable

T = TypeVar("T")
API_VERSION = "1.41"
_NOT_FOUND = 404
_NOT_MODIFIED = 304
_GOOD = 200
_FRAMED = {"Content-Length", "Transfer-Encoding"}
_FAILED = 300
_PART = 1 << 16
_LONGEST = 2000  # characters of what an engine says of an error
_MOST_VALUES = 1_000_000
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, ArithmeticError)


@dataclass(frozen=True)
class Stream:
    """The parts of an answer that goes on; `renew` says that it made progress."""

    parts: Iterator[bytes]
    renew: Callable[[], None]


class Client:
    """Calls of one host's engine. Whatever is raised leaves it as EngineError, NotFound or Unreachable, which name the
    host and begin with what was asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._host = connection.host.name
        self._channels = EngineChannels(connection)

    def ask(
        self,
        what: str,
        method: str,
        path: str,
        *names: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        twice: bool = False,
    ) -> Any:
        """The answer to one request, None where it has no body. `names` fill the {} of `path`; what only asks is
        answered within the connection's patience, else within its timeout or `seconds`. What only asks, or may be done
        `twice` and come to the same, is sent again where the connection is lost and could be opened again."""
        normal = self._connection.patience if method == "GET" else self._connection.timeout
        bounds = Bounds(seconds or normal)
        sent, kind = _sent(body, headers)

        def once() -> Any:
            with self._edge(what, bounds):
                read = partial(self._whole, what)
                return self._channels.ask(method, _url(path, names, params), sent, kind, bounds, read)

        if twice or method == "GET":
            return self._connection.lasting(once)
        return once()

    def _whole(self, what: str, answer: BaseHTTPResponse) -> Any:
        with contextlib.closing(answer):
            self._require_good(what, answer)
            data = b"".join(_parts(answer))
            if not data and answer.status == _GOOD and not _FRAMED & set(answer.headers):
                raise EOFError("its answer was cut off")  # http.client takes the end of a head for an empty line
            return _parsed(data) if data.strip() else None

    @contextlib.contextmanager
    def stream(
        self,
        what: str,
        method: str,
        path: str,
        *names: str,
        params: Mapping[str, Any],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        bounds: Bounds,
    ) -> Iterator[Stream]:
        """The parts of an answer as they come; leaving ends it. What is raised within is translated, too."""
        with self._edge(what, bounds):
            answer = self._channels.send(method, _url(path, names, params), *_sent(body, headers), bounds)
            with contextlib.closing(answer):
                self._require_good(what, answer)
                yield Stream(_parts(answer), getattr(answer.connection, "renew", _nothing))

    def _require_good(self, what: str, answer: BaseHTTPResponse) -> None:
        if answer.status < _FAILED or answer.status == _NOT_MODIFIED:
            return
        data = b"".join(_parts(answer))
        try:
            message = json.loads(data)["message"]
        except _NONSENSE:
            message = data.decode(errors="replace")
        words = " ".join(str(message).split())[:_LONGEST] or f"it answers {answer.status}"
        kind = NotFound if answer.status == _NOT_FOUND else EngineError
        raise kind(f"{what}: {words}", host=self._host, status=answer.status)

    @contextlib.contextmanager
    def _edge(self, what: str, bounds: Bounds) -> Iterator[None]:
        """Turn whatever is raised within into the model's errors."""
        try:
            yield
        except RelmanError as error:
            error.host = error.host or self._host
            raise
        except Exception as error:
            raise self._lost(what, error, bounds) from error

    def _lost(self, what: str, error: Exception, bounds: Bounds) -> RelmanError:
        causes = list(chain(error))
        told = next((each for each in causes if isinstance(each, RelmanError)), None)
        if told:
            told.host = told.host or self._host
            return told
        too_large = next((each for each in causes if isinstance(each, TooLarge)), None)
        if too_large:
            return EngineError(f"{what}: {too_large}", host=self._host)
        if not self._connection.alive:
            return Unreachable(self._connection.gone, host=self._host)
        hint = socket_hint(self._connection)
        if late(error):
            waited = next((each.seconds for each in causes if isinstance(each, Late)), bounds.seconds)
            if waited == bounds.stall:
                return EngineError(f"{what}: it made no progress for {waited:g} s", host=self._host)
            gone = self._connection.give_up(f"{what}: the Docker engine did not answer within {waited:g} s")
            gone.hint = hint
            return gone
        if isinstance(error, _NONSENSE):
            return EngineError(f"{what}: the Docker engine gave an invalid answer: {said(error)}", host=self._host)
        return Unreachable(f"{what}: the Docker engine does not answer: {said(error)}", host=self._host, hint=hint)


def _sent(body: Any, headers: Mapping[str, str] | None) -> tuple[bytes | None, Mapping[str, str]]:
    if body is None:
        return None, headers or {}
    return json.dumps(body).encode(), {**(headers or {}), "Content-Type": "application/json"}


def _url(path: str, names: Sequence[str], params: Mapping[str, Any] | None) -> str:
    query = f"?{urlencode(params)}" if params else ""
    return f"/v{API_VERSION}{path.format(*(quote(name, safe='/:') for name in names))}{query}"


def _nothing() -> None:
    """The answer had no body, and so is over."""


def _parts(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """The body of an answer as it comes, as it was sent: what is compressed could grow without limit."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("its answer is compressed, which was not asked for")
    while part := answer.read1(_PART, decode_content=False):
        yield part


def _parsed(data: bytes) -> Any:
    """The value of JSON that is not larger in memory than JSON is; RecursionError bounds its depth."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        raise ValueError(f"it has more than {_MOST_VALUES} values")
    return json.loads(data)
