"""HTTP to one registry: TLS, authorization, patience with a busy registry, and nothing of `requests` leaves here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from relman.model.errors import RegistryError, RelmanError
from relman.model.image import HUB_NAMES
from relman.registry.auth import Credentials
from relman.registry.challenge import Authorizer, Scope
from relman.registry.foreign import PassingError, translated
from relman.registry.pace import Pace
from relman.registry.session import open_session

PAUSES = (0.2, 0.6, 1.8)
"""Seconds between attempts; a Retry-After may lengthen them up to MAX_WAIT."""
MAX_WAIT = 30.0
CONNECT_SECONDS = 5.0
HUB_API = "registry-1.docker.io"
"""Where Docker Hub answers."""
REDIRECTS = 5
"""Followed one after the other, at most."""
_WAIT_DIGITS = 6
_BUSY = frozenset({429, 500, 502, 503, 504})
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Request:
    """One request. `url` is a path or an absolute URL; `limit` bounds the answer's body in bytes; `once` when only
    the caller knows how to repeat it."""

    method: str
    url: str
    scope: Scope
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    limit: int = 1 << 20
    once: bool = False

    @property
    def asked(self) -> str:
        """What is asked for, in an error's words: without a query, which may hold what is not to be shown."""
        path = "".join(c for c in self.url.partition("?")[0] if c.isprintable())
        return f"{self.method} {path[:300]}"


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end. Header names compare without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one registry over pooled connections. Safe to share between a few threads.

    An answer has `timeout` seconds to come as a whole, and a large body as much again while it moves (pace.py).
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: Credentials | None,
        ca: str | None,
        timeout: float,
        insecure: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self._base = f"{'http' if insecure else 'https'}://{HUB_API if host in HUB_NAMES else host}"
        self.timeout = timeout
        self._sleep = sleep
        self._session = open_session(ca)
        self._authorizer = Authorizer(host, credentials, self._ask_token, insecure=insecure)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def send(self, request: Request) -> Answer:
        """Send, answering a challenge and waiting out a busy registry; any status but 401 and the busy ones is given
        back. Raises Unreachable, AccessDenied or RegistryError."""
        if request.once:
            return self._attempt(request)
        return self.patiently(lambda: self._attempt(request))

    def patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """Call `attempt`, again after a pause while it fails for a passing reason, at most len(PAUSES) more times."""
        for pause in (*PAUSES, None):
            try:
                return attempt()
            except PassingError as passing:
                if pause is None or passing.wait > MAX_WAIT:
                    raise passing.error from passing.__cause__
                self._sleep(max(pause, passing.wait))
        raise AssertionError("the last pause is None")

    @contextmanager
    def opened(self, request: Request) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Send, and give the status and the body in pieces, as they come; what breaks off raises Unreachable."""
        response, pace = self.patiently(lambda: self._opening(request))
        try:
            yield response.status_code, self._parts(request, response, pace)
        finally:
            response.close()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def absolute(self, url: str) -> str:
        """`url` as the registry meant it: relative ones start at the registry. Raises RegistryError for nonsense."""
        return self.joined(self._base, url)

    def joined(self, base: str, url: str) -> str:
        """`url` as it is meant in an answer from `base`. Raises RegistryError for nonsense."""
        try:
            joined = urljoin(base, url)
            urlsplit(joined)
        except ValueError as error:
            raise RegistryError("the registry gave an invalid address", host=self.host) from error
        return joined

    def is_own(self, url: str) -> bool:
        """Whether `url` is the registry's own, so that credentials may go there."""
        mine, other = urlsplit(self._base), urlsplit(self.absolute(url))
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)

    def _attempt(self, request: Request) -> Answer:
        if not self.is_own(request.url):
            return self._busy_is_passing(self._exchange(request, None))
        answer = self._exchange(request, self._authorizer.header(request.scope))
        if answer.status == 401:
            header = self._authorizer.answer(answer.headers.get("WWW-Authenticate", ""), request.scope)
            answer = self._exchange(request, header)
        if answer.status in (401, 403):
            doing = "writing to" if request.scope.write else "reading"
            raise self._authorizer.denied(f"the registry refuses {doing} {request.scope.repository}")
        return self._busy_is_passing(answer)

    def _busy_is_passing(self, answer: Answer) -> Answer:
        if answer.status not in _BUSY:
            return answer
        wait = answer.headers.get("Retry-After", "")[:_WAIT_DIGITS]
        what = "limits requests" if answer.status == 429 else "has an internal error"
        hint = f"It asks to wait {wait} s." if wait.isdecimal() else ""
        error = RegistryError(f"the registry {what} (HTTP {answer.status})", host=self.host, hint=hint)
        raise PassingError(error, float(wait) if wait.isdecimal() else 0.0)

    def _ask_token(self, url: str, form: bytes | None, authorization: str | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        method = "GET" if form is None else "POST"
        answer = self._busy_is_passing(self._exchange(Request(method, url, Scope(""), headers, form), authorization))
        return answer.status, answer.body

    def _opening(self, request: Request) -> tuple[requests.Response, Pace]:
        response, pace = self._begun(request, self._authorizer.header(request.scope))
        if response.status_code == 401:
            response.close()
            challenge = response.headers.get("WWW-Authenticate", "")
            response, pace = self._begun(request, self._authorizer.answer(challenge, request.scope))
        if response.status_code in (401, 403):
            response.close()
            raise self._authorizer.denied(f"the registry refuses reading {request.scope.repository}")
        if response.status_code in _BUSY:
            response.close()
            self._busy_is_passing(Answer(response.status_code, response.headers, b""))
        return response, pace

    def _parts(self, request: Request, response: requests.Response, pace: Pace) -> Iterator[bytes]:
        while part := self._part(request, response, pace):
            pace.moved(len(part))
            yield part

    def _part(self, request: Request, response: requests.Response, pace: Pace) -> bytes:
        try:
            with self._edge(request), pace.running():
                return response.raw.read1(1 << 16, decode_content=False) or b""
        except PassingError as passing:
            raise passing.error from passing.__cause__

    def _exchange(self, request: Request, authorization: str | None) -> Answer:
        response, pace = self._begun(request, authorization)
        with self._edge(request), pace.running(), response:
            return Answer(response.status_code, response.headers, self._read(request, response))

    def _begun(self, request: Request, authorization: str | None) -> tuple[requests.Response, Pace]:
        """The answer's head; what it redirects to is asked instead, without the login where that is elsewhere's."""
        pace = Pace(self.timeout)
        for _ in range(REDIRECTS):
            self._require_usable(request)
            with self._edge(request), pace.running():
                response = self._request(request, authorization)
            location = response.headers.get("Location")
            if request.method != "GET" or response.status_code not in _REDIRECTED or location is None:
                return response, pace
            response.close()
            request = replace(request, url=self.joined(self.absolute(request.url), location))
            authorization = authorization if self.is_own(request.url) else None
        raise RegistryError(f"the registry redirects {request.asked} in a loop", host=self.host)

    def _require_usable(self, request: Request) -> None:
        """Nothing of a registry that speaks TLS goes or comes without."""
        if urlsplit(self.absolute(request.url)).scheme not in ("https", urlsplit(self._base).scheme):
            raise RegistryError(f"the registry redirects {request.asked} to an address without TLS", host=self.host)

    def _request(self, request: Request, authorization: str | None) -> requests.Response:
        headers = dict(request.headers) | ({"Authorization": authorization} if authorization else {})
        return self._session.request(
            request.method,
            self.absolute(request.url),
            headers=headers,
            data=request.body,
            timeout=(min(CONNECT_SECONDS, self.timeout), self.timeout),
            allow_redirects=False,
            stream=True,
        )

    def _read(self, request: Request, response: requests.Response) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(1 << 16, decode_content=False):
            body += chunk
            if len(body) > request.limit:
                raise RegistryError(
                    f"the registry's answer to {request.asked} is larger than {request.limit} bytes", host=self.host
                )
        return bytes(body)

    @contextmanager
    def _edge(self, request: Request) -> Iterator[None]:
        """Whatever the libraries below raise becomes an error of relman's."""
        try:
            yield
        except (RelmanError, PassingError):
            raise
        except Exception as error:
            raise translated(error, self.host, request.asked, self.timeout) from error
