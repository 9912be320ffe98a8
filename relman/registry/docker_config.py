"""Read Docker's config.json as the docker CLI does: `auths`, `credHelpers`, `credsStore`, and DOCKER_AUTH_CONFIG.

Documentation: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relman.model.errors import AccessDenied, UsageError
from relman.model.image import HUB_NAMES

HELPER_SECONDS = 20
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_NOT_FOUND = b"credentials not found in native keychain"

Warn = Callable[[str], object]
_Object = dict[str, Any]


@dataclass(frozen=True)
class Credentials:
    """A user name and password, an identity token (OAuth2 refresh token), or a registry's bearer token. Its repr hides
    them."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def auth_config(self) -> dict[str, str]:
        """The form that docker-py takes as `auth_config` and sends in X-Registry-Auth
        (https://docs.docker.com/reference/api/engine/, Authentication)."""
        if self.registry_token:
            return {"registrytoken": self.registry_token}
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"username": self.username, "password": self.password}

    @property
    def basic(self) -> str:
        """The value of the Authorization header (RFC 7617, section 2)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode(errors="surrogateescape")).decode()


def logged_in(registry: str, directory: Path, auth_config: str, warn: Warn) -> Credentials | None:
    """Return the login that `docker login` stored for `registry`, or None.

    It is looked for in DOCKER_AUTH_CONFIG (`auth_config`), then in the credential helper that `directory`/config.json
    names, then in its `auths`. A helper without an entry ends the search; if a helper fails, `warn` is called and
    `auths` are read. Raises UsageError if a file, or the entry for `registry`, cannot be read.
    """
    key = login_key(registry)
    if auth_config.strip() and (found := _from_auths(_object(auth_config.encode(), "DOCKER_AUTH_CONFIG"), key)):
        return found
    config = _read(directory / "config.json")
    helpers = _section(config, "credHelpers")
    helper = str(helpers[key] if key in helpers else _field(config, "credsStore") or "")
    if not (helper or helpers or _section(config, "auths")):
        helper = _detected()
    if helper:
        try:
            return _ask(helper, key)
        except AccessDenied as error:
            warn(f"{error.what}: what `docker login` wrote into config.json itself is used")
    return _from_auths(config, key)


def login_key(registry: str) -> str:
    """The key under which docker stores the login for `registry`."""
    return _HUB_KEY if registry in HUB_NAMES else registry


def _read(file: Path) -> _Object:
    try:
        return _object(file.read_bytes(), str(file))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _object(content: bytes, name: str) -> _Object:
    """Return the first JSON object in it, as Go's decoder does; empty for empty content. Raises UsageError."""
    try:
        text = content.decode().strip()
        found = json.JSONDecoder().raw_decode(text)[0] if text else {}
    except (ValueError, RecursionError):
        # `from None`: the cause may quote a password.
        raise UsageError(f"{name} cannot be read: it is not JSON", hint="Log in again with `docker login`.") from None
    if not isinstance(found, dict | None):
        raise UsageError(f"{name} cannot be read: it is not a JSON object", hint="Log in again with `docker login`.")
    return found or {}


def _field(section: _Object, name: str) -> Any:
    """The value of a key, compared without case, as Go reads JSON."""
    return section.get(name, next((v for k, v in section.items() if k.lower() == name.lower()), None))


def _section(config: _Object, name: str) -> _Object:
    section = _field(config, name)
    return section if isinstance(section, dict) else {}


def _from_auths(config: _Object, key: str) -> Credentials | None:
    """The entry under the key itself, else the first whose URL has that host, as old versions of docker wrote it."""
    auths = _section(config, "auths")
    entry = auths.get(key, next((e for name, e in auths.items() if _hostname(name) == key), None))
    return _from_entry(entry, key) if isinstance(entry, dict) else None


def _hostname(name: str) -> str:
    return re.sub(r"^https?://", "", name).split("/")[0]


def _from_entry(entry: _Object, key: str) -> Credentials | None:
    username, password, identity, registry = (
        str(_field(entry, name) or "") for name in ("username", "password", "identitytoken", "registrytoken")
    )
    if auth := _field(entry, "auth"):
        username, password = _decoded(str(auth), key)
    found = Credentials(username, password, identity, registry)
    return found if found != Credentials() else None


def _decoded(auth: str, key: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(re.sub(r"[\r\n]", "", auth), validate=True).decode(errors="surrogateescape")
    except ValueError:
        text = ""
    username, colon, password = text.partition(":")
    if not (username and colon):
        hint = f"Log in again: docker login {key}"
        raise UsageError(f"Docker's config.json has an unreadable entry for {key}", hint=hint)
    return username, password.strip("\0")


def _detected() -> str:
    """The credential helper that the CLI chooses on Linux if config.json configures nothing."""
    name = "pass" if shutil.which("pass") else "secretservice"
    return name if shutil.which(f"docker-credential-{name}") else ""


def _ask(name: str, key: str) -> Credentials | None:
    """Run `docker-credential-NAME get` (https://github.com/docker/docker-credential-helpers#development): the registry
    on stdin, JSON on stdout.

    Returns None if the helper has no entry. Raises AccessDenied if it fails otherwise.
    """
    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        raise UsageError(f"Docker's config.json names no usable credential helper: {name!r}")
    try:
        done = subprocess.run(  # noqa: S603 - argv is checked above
            [program, "get"], input=key.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccessDenied(f"the credential helper {program} gave no answer for {key}") from error
    if done.returncode and done.stdout.strip() == _NOT_FOUND:
        return None
    if done.returncode:
        raise AccessDenied(f"the credential helper {program} failed for {key}")
    try:
        answer = _object(done.stdout, program)
    except UsageError:
        raise AccessDenied(f"the credential helper {program} gave an invalid answer for {key}") from None
    return _from_helper(answer)


def _from_helper(answer: Mapping[str, Any]) -> Credentials | None:
    username, secret = (str(_field(dict(answer), name) or "") for name in ("Username", "Secret"))
    if username == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username, secret) if username or secret else None
