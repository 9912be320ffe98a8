"""Translate what the ACME library, `requests` and `ssl` raise to relman's errors. Only for authority.py."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

from relman.model.errors import CertificateRefused, RelmanError, Unreachable
from relman.model.proxy import Acme

if TYPE_CHECKING:
    from acme.messages import Error

_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID (openssl-verification-options)
_LONGEST = 500
_RATE = "rateLimited"
_HINTS = {
    "connection": "port 80 of every address that DNS has for this name must lead to these hosts",
    "unauthorized": "every address that DNS has for this name must lead to these hosts",
    "incorrectResponse": "every address that DNS has for this name must lead to these hosts",
    "dns": "has DNS an address for this name?",
    "caa": "the name's CAA record in DNS must allow this authority",
    "externalAccountRequired": "relman cannot bind accounts of elsewhere: take another authority",
}


@contextmanager
def edge(acme: Acme, session: requests.Session) -> Iterator[None]:
    """Translate what is raised within."""
    from acme import errors
    from josepy.errors import Error as UnreadableError

    waits: list[str] = []

    def remember(response: requests.Response, *_: object, **__: object) -> None:
        if not response.ok and "Retry-After" in response.headers:
            waits[:] = [response.headers["Retry-After"]]

    session.hooks["response"] = [remember]
    try:
        yield
    except RelmanError:
        raise
    except requests.RequestException as error:
        raise _unreachable(acme, error) from error
    except (errors.Error, UnreadableError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _refused(acme, error, waits) from error


def _unreachable(acme: Acme, error: requests.RequestException) -> Unreachable:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in (_EXPIRED, _NOT_YET):
                return Unreachable(
                    f"the certificate of {acme.directory} has expired, or is not valid yet",
                    hint="is the clock of this machine right?",
                )
            return Unreachable(
                f"the certificate of {acme.directory} is not trusted: {cause.verify_message}",
                hint="relman_proxy.acme.ca names the file of an authority's own CA",
            )
    if isinstance(error, requests.Timeout):
        return Unreachable(f"no answer from {acme.directory} in time")
    reasons = [c.strerror for c in causes if isinstance(c, OSError) and isinstance(c.strerror, str)]
    return Unreachable(f"no answer from {acme.directory}", hint=f"{reasons[-1]}" if reasons else "")


def _refused(acme: Acme, error: Exception, waits: list[str]) -> CertificateRefused:
    from acme import errors, messages

    if isinstance(error, errors.TimeoutError):
        return CertificateRefused(f"{acme.directory} did not decide in time", hint="try again later")
    if isinstance(error, errors.ValidationError):
        said = [c.error for a in error.failed_authzrs for c in a.body.challenges if c.error is not None]
        error = said[0] if said else error
    if isinstance(error, errors.IssuanceError):
        error = error.error
    if isinstance(error, messages.Error):
        return _of_problem(error, waits)
    what = f"the answer of {acme.directory} cannot be read: {type(error).__name__}"
    return CertificateRefused(what, hint="relman_proxy.acme.directory is the URL of a directory (RFC 8555)")


def _of_problem(said: Error, waits: list[str]) -> CertificateRefused:
    """A problem document (RFC 7807), with the types of RFC 8555, section 6.7."""
    first = next(iter(said.subproblems or ()), said)
    text = str(first.detail or first.title or first.typ)[:_LONGEST]
    if said.code == _RATE:
        wait = f"{waits[0]} s" if waits and waits[0].isdigit() else "".join(waits)
        hint = f"its rate limit is used up: try again after {wait}" if wait else "its rate limit is used up: try later"
        return CertificateRefused(text, hint=hint, rate_limited=True)
    return CertificateRefused(text, hint=_HINTS.get(str(first.code), ""))


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        reason = getattr(current, "reason", None)  # urllib3 keeps what it wraps here
        current = reason if isinstance(reason, BaseException) else current.__cause__ or current.__context__
