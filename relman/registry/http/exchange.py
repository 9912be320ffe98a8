"""One HTTP exchange with a registry: choice of TLS, redirects, limits of size and time. No type of error of `requests`
leaves this module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import requests

from relman.model.errors import RegistryError, RelmanError
from relman.model.image import HUB_NAMES
from relman.registry.http.challenge import Scope
from relman.registry.http.foreign_errors import FailedRequest, PassingError, WithoutTls, proxy_refusal, translated
from relman.registry.http.messages import Answer, HttpRequest
from relman.registry.http.network import RegistryAccess, is_loopback
from relman.registry.http.pace import Pace
from relman.registry.http.session import open_session

CONNECT_SECONDS = 5.0
HUB_API = "registry-1.docker.io"
"""The host of Docker Hub's API."""
REDIRECTS = 5
"""The number of redirects followed in a row."""
_REDIRECTED = frozenset({301, 302, 303, 307, 308})


class Exchange:
    """HTTP exchanges with one registry over pooled connections. Safe to share between a few threads.

    `timeout` in seconds bounds each response as a whole. TLS is tried first; plain HTTP is used only if the registry
    turns out not to speak TLS and `network` allows it.
    """

    def __init__(self, host: str, *, ca: str | None, timeout: float, network: RegistryAccess) -> None:
        self.host = host
        self.timeout = timeout
        self._place = HUB_API if host in HUB_NAMES else host
        self._scheme = "https"
        self._network = network
        self._session = open_session(ca, network.proxies)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    @property
    def _base(self) -> str:
        return f"{self._scheme}://{self._place}"

    def absolute(self, url: str) -> str:
        """Resolve `url` against the registry's address. Raises RegistryError if it is not a URL."""
        return self.joined(self._base, url)

    def joined(self, base: str, url: str) -> str:
        """Resolve `url`, found in a response from `base`. Raises RegistryError if it is not a URL."""
        try:
            joined = urljoin(base, url)
            urlsplit(joined)
        except ValueError as error:
            raise RegistryError("the registry gave an invalid address", host=self.host) from error
        return joined

    def is_own(self, url: str) -> bool:
        """Whether `url` is on the registry itself, so that credentials may be sent there."""
        mine, other = urlsplit(self._base), urlsplit(self.absolute(url))
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)

    def plain_fault(self) -> RelmanError | None:
        """The error for a registry that speaks plain HTTP without being allowed to, else None. Sends no credentials.

        Raises Unreachable and the like if it cannot be asked.
        """
        try:
            self._followed(HttpRequest("GET", "/v2/", Scope("")), None)[0].close()
        except PassingError as passing:
            raise passing.error from passing.__cause__
        except WithoutTls as found:
            if isinstance(found.error, PassingError):
                raise found.error.error from found.__cause__
            return None if self._network.may_be_plain(self._place, self._place) else found.error
        return None

    def begun(self, request: HttpRequest, authorization: str | None) -> tuple[requests.Response, Pace]:
        """Send a request and return the head of the response, over plain HTTP if the registry speaks nothing else and
        may."""
        try:
            return self._followed(request, authorization)
        except WithoutTls as found:
            if found.place != self._place or not self._network.may_be_plain(self._place, self._place):
                raise found.error from found.__cause__
        self._scheme = "http"
        if not is_loopback(self._place):
            self._network.warn(
                f"plain HTTP to the registry {self.host}: passwords and images can be read and changed in transit"
            )
        return self._followed(request, authorization)

    def completed(self, request: HttpRequest, response: requests.Response, pace: Pace) -> Answer:
        """Read the response to its end."""
        with self.edge(request), pace.running(), response:
            return Answer(response.status_code, response.headers, self._read(request, response))

    def may_be_plain(self, place: str) -> bool:
        """Whether `place` (host[:port]) may be spoken to without TLS on this registry's behalf."""
        return self._scheme == "http" and self._network.may_be_plain(place, self._place)

    def _followed(self, request: HttpRequest, authorization: str | None) -> tuple[requests.Response, Pace]:
        """Send a request, following redirects; credentials are not sent to another host."""
        pace = Pace(self.timeout)
        for _ in range(REDIRECTS):
            self._require_usable(request)
            with self.edge(request), pace.running():
                response = self._request(request, authorization)
            location = response.headers.get("Location")
            if request.method != "GET" or response.status_code not in _REDIRECTED or location is None:
                return response, pace
            response.close()
            request = replace(request, url=self.joined(self.absolute(request.url), location))
            authorization = authorization if self.is_own(request.url) else None
        raise RegistryError(f"the registry redirects {request.asked} in a loop", host=self.host)

    def _require_usable(self, request: HttpRequest) -> None:
        """Raise RegistryError for an address without TLS, unless it is allowed one."""
        address = urlsplit(self.absolute(request.url))
        if address.scheme == "https" or (address.scheme == "http" and self.may_be_plain(address.netloc)):
            return
        place = "".join(c for c in address.netloc.rpartition("@")[2] if c.isprintable())[:200]
        raise RegistryError(
            f"the registry redirects {request.asked} to {place}, an address without TLS", host=self.host
        )

    def _request(self, request: HttpRequest, authorization: str | None) -> requests.Response:
        headers = dict(request.headers) | ({"Authorization": authorization} if authorization else {})
        url = self.absolute(request.url)
        response = self._session.request(
            request.method,
            url,
            headers=headers,
            data=request.body,
            timeout=(min(CONNECT_SECONDS, self.timeout), self.timeout),
            allow_redirects=False,
            stream=True,
        )
        proxy = self._network.proxies.of(url)
        if proxy and response.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            response.close()
            raise proxy_refusal(proxy, response.status_code, self.host)
        return response

    def _read(self, request: HttpRequest, response: requests.Response) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(1 << 16, decode_content=False):
            body += chunk
            if len(body) > request.limit:
                raise RegistryError(
                    f"the registry's answer to {request.asked} is larger than {request.limit} bytes", host=self.host
                )
        return bytes(body)

    @contextmanager
    def edge(self, request: HttpRequest) -> Iterator[None]:
        """Translate every exception of the libraries below to an error of relman's."""
        try:
            yield
        except (RelmanError, PassingError):
            raise
        except Exception as error:
            url = self.absolute(request.url)
            failed = FailedRequest(self.host, url, request.asked, self.timeout, self._network.proxies.of(url))
            raise translated(error, failed) from error
