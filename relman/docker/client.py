"""The Engine API's client, whichever way leads to the engine: JSON and streams, and the one edge where what the
libraries raise is translated."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import quote, urlencode

from relman.docker import answers
from relman.hosts.ssh.bounded import Bounds
from relman.hosts.ssh.foreign_errors import said
from relman.model.errors import EngineError, NotFound, RelmanError, Unreachable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

T = TypeVar("T")
Body = bytes | IO[bytes] | None
_NOT_FOUND = 404
_NOT_MODIFIED = 304
_GOOD = 200
_FRAMED = {"Content-Length", "Transfer-Encoding"}
_FAILED = 300
_PART = 1 << 16
_LONGEST = 2000  # characters of what an engine says of an error
_MOST_VALUES = 1_000_000
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, ArithmeticError)


class Transport(Protocol):
    """A way to one engine."""

    @property
    def host(self) -> str | None:
        """Whose engine it is, for errors; None for this machine's own."""

    @property
    def hint(self) -> str:
        """What to look at where it does not answer."""

    @property
    def version(self) -> str:
        """The version of the API that is spoken."""

    @property
    def patience(self) -> float:
        """Seconds within which the engine answers what only asks."""

    @property
    def timeout(self) -> float:
        """Seconds within which it has done what it is told."""

    def send(self, method: str, url: str, body: Body, headers: Mapping[str, str], bounds: Bounds) -> BaseHTTPResponse:
        """Send one request; the answer's body is not read yet. Raises whatever the libraries do."""

    def ask(
        self,
        method: str,
        url: str,
        body: Body,
        headers: Mapping[str, str],
        bounds: Bounds,
        read: Callable[[BaseHTTPResponse], T],
    ) -> T:
        """What `read` makes of the answer to one request."""

    def lasting(self, work: Callable[[], T]) -> T:
        """Do what may be done twice; once more where the way was lost meanwhile and could be opened again."""

    def lost(self, what: str, error: Exception, bounds: Bounds) -> RelmanError | None:
        """What an error means that is one of the way; None where it may be one of the answer."""


class Stream:
    """An answer that goes on: its parts as they come, or as a file; `renew` says that it made progress."""

    def __init__(self, answer: BaseHTTPResponse) -> None:
        self._answer = answer
        self.renew: Callable[[], None] = getattr(answer.connection, "renew", _nothing)

    @property
    def parts(self) -> Iterator[bytes]:
        """Its parts, as they come."""
        return _parts(self._answer)

    @property
    def file(self) -> IO[bytes]:
        """The whole, to be read on."""
        return cast("IO[bytes]", self._answer)


class Client:
    """Calls of one engine. Whatever is raised leaves it as EngineError, NotFound or Unreachable, which name the host,
    if there is one, and begin with what was asked for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.host, self.timeout = transport.host, transport.timeout

    def get(
        self,
        what: str,
        path: str,
        *names: str,
        read: Callable[[Any], T],
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """What `read` makes of the answer to what only asks."""
        answer = self.ask(what, "GET", path, *names, params=params, headers=headers)
        with self.reading(what):
            return read(answer)

    def reading(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Let what an answer says that makes no sense be an error which names the host, and what was asked for."""
        return answers.of(self.host, what)

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
        answered within the transport's patience, else within its timeout or `seconds`. What only asks, or may be done
        `twice` and come to the same, is sent again where the way is lost and could be opened again."""
        normal = self._transport.patience if method == "GET" else self._transport.timeout
        bounds = Bounds(seconds or normal)
        sent, kind = _sent(body, headers)

        def once() -> Any:
            with self.edge(what, bounds):
                read = partial(self._whole, what)
                return self._transport.ask(method, self._url(path, names, params), sent, kind, bounds, read)

        if twice or method == "GET":
            return self._transport.lasting(once)
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
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        data: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        bounds: Bounds | None = None,
    ) -> Iterator[Stream]:
        """An answer as it comes, within the transport's timeout unless `bounds` say otherwise; leaving ends it. `data`
        is sent as it is. What is raised within is translated, too."""
        bounds = bounds or Bounds(self.timeout)
        with self.edge(what, bounds):
            sent, kind = _sent(body, headers)
            answer = self._transport.send(method, self._url(path, names, params), sent or data, kind, bounds)
            with contextlib.closing(answer):
                self._require_good(what, answer)
                yield Stream(answer)

    def _require_good(self, what: str, answer: BaseHTTPResponse) -> None:
        if answer.status >= _FAILED and answer.status != _NOT_MODIFIED:
            raise self._refused(what, answer.status, b"".join(_parts(answer)))

    def _refused(self, what: str, status: int, data: bytes) -> EngineError:
        """The error of an answer that refuses."""
        try:
            message = json.loads(data)["message"]
        except _NONSENSE:
            message = data.decode(errors="replace")
        words = " ".join(str(message).split())[:_LONGEST] or f"it answers {status}"
        kind = NotFound if status == _NOT_FOUND else EngineError
        return kind(f"{what}: {words}", host=self.host, status=status)

    @contextlib.contextmanager
    def edge(self, what: str, bounds: Bounds | None = None) -> Iterator[None]:
        """Turn whatever is raised within into the model's errors."""
        try:
            yield
        except RelmanError as error:
            error.host = error.host or self.host
            raise
        except Exception as error:
            raise self._lost(what, error, bounds or Bounds(self.timeout)) from error

    def _lost(self, what: str, error: Exception, bounds: Bounds) -> RelmanError:
        if lost := self._transport.lost(what, error, bounds):
            return lost
        if isinstance(error, _NONSENSE):
            return EngineError(f"{what}: the Docker engine gave an invalid answer: {said(error)}", host=self.host)
        way = self._transport
        return Unreachable(f"{what}: the Docker engine does not answer: {said(error)}", host=self.host, hint=way.hint)

    def _url(self, path: str, names: Sequence[str], params: Mapping[str, Any] | None) -> str:
        query = f"?{urlencode(params)}" if params else ""
        return f"/v{self._transport.version}{path.format(*(quote(name, safe='/:') for name in names))}{query}"


def _sent(body: Any, headers: Mapping[str, str] | None) -> tuple[bytes | None, Mapping[str, str]]:
    if body is None:
        return None, headers or {}
    return json.dumps(body).encode(), {**(headers or {}), "Content-Type": "application/json"}


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
