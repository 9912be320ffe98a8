"""HTTP to one registry, with authorization and retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import requests

from relman.model.errors import RegistryError
from relman.registry.auth import Credentials
from relman.registry.http.challenge import Authorizer, Scope
from relman.registry.http.exchange import Exchange
from relman.registry.http.foreign_errors import PassingError
from relman.registry.http.messages import Answer, HttpRequest, seconds_of
from relman.registry.http.network import RegistryAccess
from relman.registry.http.pace import Pace
from relman.registry.reasons import LIMIT
from relman.registry.responses import expect

PAUSES = (0.2, 0.6, 1.8)
"""Seconds between attempts; a Retry-After may lengthen them up to MAX_WAIT."""
MAX_WAIT = 30.0
_BUSY = frozenset({429, 500, 502, 503, 504})
_Result = TypeVar("_Result")


class Transport:
    """Sends requests to one registry over pooled connections. Safe to share between a few threads.

    `timeout` in seconds bounds each response as a whole; a large body may take longer while it moves (pace.py).
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: Credentials | None,
        ca: str | None,
        timeout: float,
        network: RegistryAccess,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self.timeout = timeout
        self._sleep = sleep
        self._wire = Exchange(host, ca=ca, timeout=timeout, network=network)
        self.absolute, self.joined, self.is_own = self._wire.absolute, self._wire.joined, self._wire.is_own
        self.plain_fault = self._wire.plain_fault
        self._authorizer = Authorizer(host, credentials, self._ask_token, self._wire.may_be_plain)

    def close(self) -> None:
        """Close the pooled connections."""
        self._wire.close()

    def send(self, request: HttpRequest) -> Answer:
        """Send, answering a challenge, and retrying while the registry is busy; other statuses than 401, 403 and the
        busy ones are returned. Raises Unreachable, AccessDenied or RegistryError."""
        if request.once:
            return self._attempt(request)
        return self.patiently(lambda: self._attempt(request))

    def patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """Call `attempt`, and again after a pause if it fails with PassingError, at most len(PAUSES) more times."""
        for pause in (*PAUSES, None):
            try:
                return attempt()
            except PassingError as passing:
                if pause is None or passing.wait > MAX_WAIT:
                    raise passing.error from passing.__cause__
                self._sleep(max(pause, passing.wait))
        raise AssertionError("the last pause is None")

    @contextmanager
    def opened(self, request: HttpRequest) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Send, and give the status and the body in pieces. An interrupted body raises Unreachable."""
        response, pace = self.patiently(lambda: self._opening(request))
        try:
            yield response.status_code, self._parts(request, response, pace)
        finally:
            response.close()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def _attempt(self, request: HttpRequest) -> Answer:
        if not self.is_own(request.url):
            return self._busy_is_passing(self._exchange(request, None))
        answer = self._exchange(request, self._authorizer.header(request.scope))
        if answer.status == 401:
            header = self._authorizer.answer(answer.headers.get("WWW-Authenticate", ""), request.scope)
            answer = self._exchange(request, header)
        if answer.status in (401, 403):
            doing = "writing to" if request.scope.write else "reading"
            raise self._authorizer.denied(f"the registry refuses {doing} {request.scope.repository}", answer.reasons)
        return self._busy_is_passing(answer)

    def _busy_is_passing(self, answer: Answer) -> Answer:
        if answer.status not in _BUSY:
            return answer
        wait = seconds_of(answer.headers.get("Retry-After", ""))
        what = "limits requests" if answer.status == 429 else "has an internal error"
        hint = f"It asks to wait {wait:g} s." if wait else ""
        error = RegistryError(
            f"the registry {what} (HTTP {answer.status})", host=self.host, hint=hint, details=answer.reasons
        )
        raise PassingError(error, wait)

    def _ask_token(self, url: str, form: bytes | None, authorization: str | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        method = "GET" if form is None else "POST"
        answer = self._busy_is_passing(
            self._exchange(HttpRequest(method, url, Scope(""), headers, form), authorization)
        )
        return answer.status, answer.body

    def _opening(self, request: HttpRequest) -> tuple[requests.Response, Pace]:
        response, pace = self._wire.begun(request, self._authorizer.header(request.scope))
        if response.status_code == 401:
            response.close()
            challenge = response.headers.get("WWW-Authenticate", "")
            response, pace = self._wire.begun(request, self._authorizer.answer(challenge, request.scope))
        if response.status_code >= 400:
            answer = self._completed(replace(request, limit=LIMIT), response, pace)
            self._busy_is_passing(answer)
            if answer.status in (401, 403):
                raise self._authorizer.denied(
                    f"the registry refuses reading {request.scope.repository}", answer.reasons
                )
            expect(answer, 200, request.asked, self.host)
        return response, pace

    def _parts(self, request: HttpRequest, response: requests.Response, pace: Pace) -> Iterator[bytes]:
        while part := self._part(request, response, pace):
            pace.moved(len(part))
            yield part

    def _part(self, request: HttpRequest, response: requests.Response, pace: Pace) -> bytes:
        try:
            with self._wire.edge(request), pace.running():
                return response.raw.read1(1 << 16, decode_content=False) or b""
        except PassingError as passing:
            raise passing.error from passing.__cause__

    def _exchange(self, request: HttpRequest, authorization: str | None) -> Answer:
        return self._completed(request, *self._wire.begun(request, authorization))

    def _completed(self, request: HttpRequest, response: requests.Response, pace: Pace) -> Answer:
        answer = self._wire.completed(request, response, pace)
        return replace(answer, reasons=self._authorizer.reasons(answer.body)) if answer.status >= 400 else answer
