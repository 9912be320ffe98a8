"""Translate exceptions of `requests`, `urllib3` and `ssl` to relman's errors. Only for exchange.py and transport.py."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from urllib.parse import urlsplit

import requests
import urllib3

from relman.model.errors import AccessDenied, RegistryError, RelmanError, Unreachable
from relman.registry.http.connection import PlainAnswer, ProxyFailed
from relman.registry.http.network import INSECURE
from relman.registry.http.proxies import Proxy

_NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
)
_NO_CONNECTION = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


class PassingError(Exception):
    """A failure that a retry, after `wait` seconds, may overcome; `error` is raised if no retry is left."""

    def __init__(self, error: RelmanError, wait: float = 0.0) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


class WithoutTls(Exception):
    """`place` (host[:port]) speaks no TLS; `error` is raised where it has to."""

    def __init__(self, place: str, error: RelmanError | PassingError) -> None:
        super().__init__()
        self.place = place
        self.error = error


@dataclass(frozen=True)
class FailedRequest:
    """The request that failed: to the registry `host`, for the absolute `url`, called `what` in errors, with `seconds`
    for the response, through the proxy `via`."""

    host: str
    url: str
    what: str
    seconds: float
    via: Proxy | None = None


def translated(error: Exception, request: FailedRequest) -> RelmanError | PassingError | WithoutTls:
    """Return the error that an exception during a request stands for."""
    causes = _causes_of(error)
    if request.via and (found := _of_proxy(causes, request.via, request)):
        return found
    known = _of_tls(causes, request) or _of_answer(error, causes, request)
    if known:
        return known
    passing = PassingError(
        Unreachable(f"the registry does not answer {request.what}", host=request.host, hint=_last_words(causes))
    )
    address = urlsplit(request.url)
    refused = any(isinstance(c, ConnectionRefusedError) for c in causes)
    without = refused and address.scheme == "https" and address.port is None
    return WithoutTls(address.netloc, passing) if without else passing


def proxy_refusal(proxy: Proxy, status: int, host: str) -> RelmanError | PassingError:
    """Return the error for a proxy that refuses to connect with this HTTP status."""
    where = f"the proxy {proxy.place}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        what = f"{where} refuses the login of {proxy.variable}" if proxy.login else f"{where} requires a login"
        return AccessDenied(what, host=host, hint=f"Set {proxy.variable}=http://USER:PASSWORD@{proxy.place}.")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return AccessDenied(f"{where} refuses to connect (HTTP {status})", host=host, hint=_without(proxy, host))
    error = Unreachable(f"{where} cannot connect (HTTP {status})", host=host, hint=_without(proxy, host))
    return PassingError(error)


def _of_proxy(causes: list[BaseException], proxy: Proxy, request: FailedRequest) -> RelmanError | PassingError | None:
    failed = next((c for c in causes if isinstance(c, ProxyFailed)), None)
    where, hint = f"the proxy {proxy.place}", _without(proxy, request.host)
    if failed and failed.status:
        return proxy_refusal(proxy, failed.status, request.host)
    if failed and any(isinstance(c, TimeoutError) for c in causes):
        return Unreachable(f"{where} did not connect within {request.seconds:g} s", host=request.host, hint=hint)
    if failed and any(_is_no_http(c) for c in causes):
        return Unreachable(f"{where} gave no HTTP answer", host=request.host, hint=hint)
    if failed or any(isinstance(c, _NO_CONNECTION) for c in causes):
        reason = _last_words(causes)
        return PassingError(
            Unreachable(f"{where} does not answer", host=request.host, hint=f"{reason} {hint}" if reason else hint)
        )
    return None


def _without(proxy: Proxy, host: str) -> str:
    return f"{proxy.variable} names it; NO_PROXY={urlsplit(f'//{host}').hostname} goes without."


def _of_tls(causes: list[BaseException], request: FailedRequest) -> RelmanError | WithoutTls | None:
    place = urlsplit(request.url).netloc
    if any(isinstance(c, PlainAnswer) for c in causes):
        return WithoutTls(place, _plain(place, request.host))
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
        hint = (
            f"Add its CA to the system's, or name it: RELMAN_REGISTRY_CA=FILE, or /etc/docker/certs.d/{place}/ca.crt."
        )
        return Unreachable("the registry's certificate is not trusted", host=request.host, hint=hint)
    if any(isinstance(c, ssl.SSLError) and not isinstance(c, ssl.SSLEOFError) for c in causes):
        return Unreachable("the TLS handshake with the registry failed", host=request.host, hint=str(causes[-1])[:200])
    return None


def _plain(place: str, registry: str) -> Unreachable:
    if place != registry:
        return Unreachable(f"{place}, where the registry leads to, speaks plain HTTP, not TLS", host=registry)
    hint = (
        f"Give it TLS, or allow it by name: relman_insecure_registries: [{place}] in the inventory, or "
        f"{INSECURE}={place} in your environment."
    )
    return Unreachable("the registry speaks plain HTTP, not TLS", host=registry, hint=hint)


def _of_answer(error: Exception, causes: list[BaseException], request: FailedRequest) -> RelmanError | None:
    host = request.host
    if any(isinstance(c, TimeoutError | requests.Timeout | urllib3.exceptions.ReadTimeoutError) for c in causes):
        return Unreachable(
            f"the registry gave no complete answer to {request.what} within {request.seconds:g} s", host=host
        )
    if isinstance(error, _NO_ADDRESS):
        return RegistryError(f"the registry's answer to {request.what} redirects to an invalid address", host=host)
    if any(_is_no_http(c) for c in causes) or not _is_of_the_network(error):
        return RegistryError(
            f"the registry's answer to {request.what} cannot be read: {type(causes[-1]).__name__}",
            host=host,
            hint="Is it a registry, and is a proxy in front of it?",
        )
    return None


def _is_no_http(cause: BaseException) -> bool:
    return isinstance(cause, HTTPException) and not isinstance(cause, OSError | IncompleteRead)


def _is_of_the_network(error: Exception) -> bool:
    return isinstance(
        error, requests.RequestException | urllib3.exceptions.HTTPError | OSError | HTTPException
    ) and not isinstance(error, ValueError)


def _causes_of(error: BaseException) -> list[BaseException]:
    """The exception and its causes, outermost first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _last_words(causes: list[BaseException]) -> str:
    """The operating system's text for the innermost cause, "" if it has none."""
    reasons = [c.strerror for c in causes if isinstance(c, OSError) and isinstance(c.strerror, str)]
    return f"{reasons[-1]}." if reasons else ""
