"""HTTP to one registry: TLS, authorization, patience with a busy registry, and nothing of `requests` leaves here."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from relman.model.errors import RegistryError, RelmanError, Unreachable
from relman.registry.auth import Credentials
from relman.registry.challenge import Authorizer, Scope
from relman.registry.session import causes_of, last_words, open_session

PAUSES = (0.2, 0.6, 1.8)
"""Seconds between attempts; a Retry-After may lengthen them up to MAX_WAIT."""
MAX_WAIT = 30.0
CONNECT_SECONDS = 5.0
_BUSY = frozenset({429, 500, 502, 503, 504})
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


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end. Header names compare without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _PassingError(Exception):
    """Worth another try after `wait` seconds; `error` is what it is if no try is left."""

    def __init__(self, error: RelmanError, wait: float = 0.0) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


class Transport:
    """Sends requests to one registry over pooled connections. Safe to share between a few threads."""

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
        self._base = f"{'http' if insecure else 'https'}://{host}"
        self._timeout = timeout
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
            except _PassingError as passing:
                if pause is None or passing.wait > MAX_WAIT:
                    raise passing.error from passing.__cause__
                self._sleep(max(pause, passing.wait))
        raise AssertionError("the last pause is None")

    @contextmanager
    def opened(self, request: Request) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Send, and give the status and the body in pieces, as they come; what breaks off raises Unreachable."""
        response = self.patiently(lambda: self._opening(request))
        try:
            yield response.status_code, self._parts(response)
        finally:
            response.close()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def absolute(self, url: str) -> str:
        """`url` as the registry meant it: relative ones start at the registry."""
        return urljoin(self._base, url)

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
        wait = answer.headers.get("Retry-After", "")
        what = "is asked too much" if answer.status == 429 else "has a fault"
        hint = f"It asks to wait {wait} s." if wait.isdecimal() else ""
        error = RegistryError(f"the registry {what} (HTTP {answer.status})", host=self.host, hint=hint)
        raise _PassingError(error, float(wait) if wait.isdecimal() else 0.0)

    def _ask_token(self, url: str, form: bytes | None, authorization: str | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        method = "GET" if form is None else "POST"
        answer = self._busy_is_passing(self._exchange(Request(method, url, Scope(""), headers, form), authorization))
        return answer.status, answer.body

    def _opening(self, request: Request) -> requests.Response:
        authorization = self._authorizer.header(request.scope)
        try:
            response = self._request(request, authorization)
            if response.status_code == 401:
                response.close()
                challenge = response.headers.get("WWW-Authenticate", "")
                response = self._request(request, self._authorizer.answer(challenge, request.scope))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._translated(error) from error
        if response.status_code in (401, 403):
            response.close()
            raise self._authorizer.denied(f"the registry refuses reading {request.scope.repository}")
        if response.status_code in _BUSY:
            response.close()
            self._busy_is_passing(Answer(response.status_code, response.headers, b""))
        return response

    def _parts(self, response: requests.Response) -> Iterator[bytes]:
        try:
            while part := response.raw.read1(1 << 16, decode_content=False):
                yield part
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            translated = self._translated(error)
            raise (translated.error if isinstance(translated, _PassingError) else translated) from error

    def _request(self, request: Request, authorization: str | None) -> requests.Response:
        headers = dict(request.headers) | ({"Authorization": authorization} if authorization else {})
        return self._session.request(
            request.method,
            self.absolute(request.url),
            headers=headers,
            data=request.body,
            timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
            allow_redirects=request.method == "GET",
            stream=True,
        )

    def _exchange(self, request: Request, authorization: str | None) -> Answer:
        try:
            with self._request(request, authorization) as response:
                return Answer(response.status_code, response.headers, self._read(response, request.limit))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._translated(error) from error

    def _read(self, response: requests.Response, limit: int) -> bytes:
        end = time.monotonic() + self._timeout
        body = bytearray()
        while chunk := response.raw.read1(1 << 16, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise RegistryError(f"the registry's answer is larger than {limit} bytes", host=self.host)
            if time.monotonic() > end:
                raise Unreachable(f"the registry's answer is not complete after {self._timeout:g} s", host=self.host)
        return bytes(body)

    def _translated(self, error: Exception) -> Exception:
        causes = causes_of(error)
        if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
            hint = f"Name its CA: RELMAN_REGISTRY_CA=FILE, or put it in /etc/docker/certs.d/{self.host}/ca.crt."
            return Unreachable("the registry's certificate is not one to trust", host=self.host, hint=hint)
        if any(isinstance(c, ssl.SSLError) for c in causes):
            return Unreachable(
                "the registry does not speak TLS with relman", host=self.host, hint=str(causes[-1])[:200]
            )
        if isinstance(error, requests.TooManyRedirects | requests.exceptions.InvalidURL):
            return RegistryError("the registry redirects to nowhere", host=self.host)
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
            return Unreachable(f"the registry did not answer within {self._timeout:g} s", host=self.host)
        return _PassingError(Unreachable("the registry does not answer", host=self.host, hint=last_words(causes)))
