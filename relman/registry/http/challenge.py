"""Answer a registry's WWW-Authenticate challenge.

Specifications: RFC 9110, section 11.6.1 (https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1); Basic, RFC 7617;
bearer tokens (https://distribution.github.io/distribution/spec/auth/token/), with refresh tokens
(https://distribution.github.io/distribution/spec/auth/oauth/).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from relman.model.errors import AccessDenied, RegistryError
from relman.registry.auth import Credentials
from relman.registry.reasons import reasons_in
from relman.registry.strictjson import load_object

_SCHEME = re.compile(r"(?:^|,)\s*(basic|bearer)\b((?:\s*,?\s*\w+\s*=\s*\"[^\"]*\"|\s*,?\s*\w+\s*=\s*[^\s,\"]+)*)", re.I)
_PARAMETER = re.compile(r"(\w+)\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))")
_SCOPE = re.compile(r"repository:(?P<name>[a-z0-9._/-]{1,255}):(?P<actions>[a-z,]+)")
_MAX_SCOPES = 4
_MAX_TOKEN = 1 << 16
_MAX_CHALLENGE = 4096


@dataclass(frozen=True)
class Scope:
    """The access that a request needs: to pull from a repository, or also to push to it, and to pull from another,
    `source`."""

    repository: str
    write: bool = False
    source: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The scopes in the syntax of the token service."""
        own = f"repository:{self.repository}:{'pull,push' if self.write else 'pull'}"
        return (own, f"repository:{self.source}:pull") if self.source else (own,)

    def with_those_of(self, challenge: str) -> tuple[str, ...]:
        """`parts` and the scopes of a challenge from a registry that names the repository differently, limited to pull,
        and to push where the request writes."""
        known = {self.repository, self.source}
        allowed = {"pull", "push"} if self.write else {"pull"}
        found = (_SCOPE.fullmatch(text) for text in challenge.split()[:_MAX_SCOPES])
        others = (m[0] for m in found if m and m["name"] not in known and {*m["actions"].split(",")} <= allowed)
        return tuple(dict.fromkeys((*self.parts, *others)))


TokenRequest = Callable[[str, bytes | None, str | None], tuple[int, bytes]]
"""Send (url, form or None, Authorization or None), return (status, body)."""

MayBePlain = Callable[[str], bool]
"""Whether plain HTTP may be spoken to this host[:port]."""


class Authorizer:
    """Finds and caches the Authorization header for each scope. Safe to share between threads."""

    def __init__(self, host: str, credentials: Credentials | None, ask: TokenRequest, may_be_plain: MayBePlain) -> None:
        self._host = host
        self._credentials = credentials
        self._ask = ask
        self._may_be_plain = may_be_plain
        token = credentials.registry_token if credentials else ""
        self._known: dict[Scope | None, str] = {None: f"Bearer {token}"} if token else {}
        self._lock = threading.Lock()

    def header(self, scope: Scope) -> str | None:
        """The header that was accepted for this scope before, or None."""
        with self._lock:
            return self._known.get(scope) or self._known.get(None)

    def answer(self, challenge: str, scope: Scope) -> str:
        """Return the header that answers `challenge`. Raises AccessDenied if the credentials do not suffice."""
        if self._credentials and self._credentials.registry_token:
            raise self.denied("the registry refuses access")
        schemes = {scheme.lower(): _parameters(rest) for scheme, rest in _SCHEME.findall(challenge[:_MAX_CHALLENGE])}
        if "bearer" in schemes:
            header, key = "Bearer " + self._token(schemes["bearer"], scope), scope
        else:
            header, key = self._basic("basic" in schemes), None
        with self._lock:
            self._known[key] = header
        return header

    def reasons(self, body: bytes) -> tuple[str, ...]:
        """The registry's reasons in the body of a refusal, without secrets."""
        with self._lock:
            secrets = {header.partition(" ")[2] for header in self._known.values()}
        if given := self._credentials:
            secrets |= {given.password, given.identity_token, given.registry_token, given.basic.partition(" ")[2]}
        return reasons_in(body, secrets)

    def denied(self, what: str, reasons: Sequence[str] = ()) -> AccessDenied:
        """The error for a registry that refused the credentials, or the lack of them, with its `reasons`."""
        given = self._credentials
        why = f" as {given.username or 'the holder of its token'}" if given else ": it requires a login"
        return AccessDenied(
            f"{what}{why}",
            host=self._host,
            hint=f"Log in with `docker login {self._host}`, or set RELMAN_REGISTRY_USERNAME and "
            "RELMAN_REGISTRY_PASSWORD.",
            details=reasons,
        )

    def _basic(self, offered: bool) -> str:
        if not offered or self._credentials is None or not self._credentials.username:
            raise self.denied("the registry refuses access")
        return self._credentials.basic

    def _token(self, parameters: Mapping[str, str], scope: Scope) -> str:
        realm = parameters.get("realm", "")
        try:
            address = urlsplit(realm)
        except ValueError as error:
            raise RegistryError("the registry's token service has no usable address", host=self._host) from error
        if address.scheme != "https" and not (address.scheme == "http" and self._may_be_plain(address.netloc)):
            raise AccessDenied(
                f"the registry sends to {realm[:200]!r} for a token, an address without TLS",
                host=self._host,
                hint=f"No password goes there, unless the registry is without TLS itself and {address.netloc[:200]} "
                "is allowed by name.",
            )
        scopes = scope.with_those_of(parameters.get("scope", ""))
        status, body = self._ask(*self._token_request(realm, parameters.get("service", ""), scopes))
        if status in (400, 401, 403):
            raise self.denied("the registry's token service refuses access", self.reasons(body))
        if status != 200:
            what = f"the registry's token service answered HTTP {status}"
            raise RegistryError(what, host=self._host, details=self.reasons(body))
        return self._read_token(body)

    def _token_request(self, realm: str, service: str, scopes: Sequence[str]) -> tuple[str, bytes | None, str | None]:
        asked = [("service", service)] if service else []
        credentials = self._credentials
        if credentials and credentials.identity_token:
            refresh = [
                ("scope", " ".join(scopes)),
                ("grant_type", "refresh_token"),
                ("client_id", "relman"),
                ("refresh_token", credentials.identity_token),
            ]
            return realm, urlencode(asked + refresh).encode(), None
        separator = "&" if urlsplit(realm).query else "?"
        query = urlencode([*asked, *(("scope", scope) for scope in scopes)])
        return realm + separator + query, None, credentials.basic if credentials else None

    def _read_token(self, body: bytes) -> str:
        try:
            answer = load_object(body, limit=_MAX_TOKEN)
        except ValueError:
            answer = {}
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError("the registry's token service returned no token", host=self._host)
        return token


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
