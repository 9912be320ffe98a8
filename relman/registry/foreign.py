"""What the exceptions of the libraries below mean, in relman's own errors. Only for transport.py."""

from __future__ import annotations

import ssl
from http.client import HTTPException, IncompleteRead

import requests
import urllib3

from relman.model.errors import RegistryError, RelmanError, Unreachable

_NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
)


class PassingError(Exception):
    """Worth another try after `wait` seconds; `error` is what it is if no try is left."""

    def __init__(self, error: RelmanError, wait: float = 0.0) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


def translated(error: Exception, host: str, asked: str, seconds: float) -> RelmanError | PassingError:
    """What an exception means that came of asking the registry `host` for `asked`, with `seconds` for the answer."""
    causes = _causes_of(error)
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
        hint = f"Name its CA: RELMAN_REGISTRY_CA=FILE, or put it in /etc/docker/certs.d/{host}/ca.crt."
        return Unreachable("the registry's certificate is not trusted", host=host, hint=hint)
    if any(isinstance(c, ssl.SSLError) and not isinstance(c, ssl.SSLEOFError) for c in causes):
        return Unreachable("the TLS handshake with the registry failed", host=host, hint=str(causes[-1])[:200])
    if any(isinstance(c, TimeoutError | requests.Timeout | urllib3.exceptions.ReadTimeoutError) for c in causes):
        return Unreachable(f"the registry gave no complete answer to {asked} within {seconds:g} s", host=host)
    if isinstance(error, _NO_ADDRESS):
        return RegistryError(f"the registry's answer to {asked} redirects to an invalid address", host=host)
    if any(_is_no_http(c) for c in causes) or not _is_of_the_network(error):
        return RegistryError(
            f"the registry's answer to {asked} cannot be read: {type(causes[-1]).__name__}",
            host=host,
            hint="Is it a registry, and is a proxy in front of it?",
        )
    return PassingError(Unreachable(f"the registry does not answer {asked}", host=host, hint=_last_words(causes)))


def _is_no_http(cause: BaseException) -> bool:
    return isinstance(cause, HTTPException) and not isinstance(cause, OSError | IncompleteRead)


def _is_of_the_network(error: Exception) -> bool:
    return isinstance(
        error, requests.RequestException | urllib3.exceptions.HTTPError | OSError | HTTPException
    ) and not isinstance(error, ValueError)


def _causes_of(error: BaseException) -> list[BaseException]:
    """The error and what it came from, in this order."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _last_words(causes: list[BaseException]) -> str:
    """What the operating system said, if it said something."""
    reasons = [c.strerror for c in causes if isinstance(c, OSError) and isinstance(c.strerror, str)]
    return f"{reasons[-1]}." if reasons else ""
