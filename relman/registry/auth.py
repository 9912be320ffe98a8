"""Who relman is to a registry, and which CA vouches for the registry: from the environment and Docker's own files."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relman.model.errors import AccessDenied, UsageError

CERTS_D = Path("/etc/docker/certs.d")
HELPER_SECONDS = 20
_HELPER = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Credentials:
    """A user name and password, or an identity token (OAuth2 refresh token). Never shown."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def auth_config(self) -> dict[str, str]:
        """The form that docker-py takes as `auth_config` and sends in X-Registry-Auth."""
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"username": self.username, "password": self.password}

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode(errors="surrogateescape")).decode()


@dataclass(frozen=True)
class Login:
    """What an engine is given so that it may pull from `registry`, and from no other. Never shown."""

    registry: str
    auth_config: Mapping[str, str] = field(repr=False)


def credentials_for(registry: str, env: Mapping[str, str], docker_config_dir: Path) -> Credentials | None:
    """The credentials for `registry`, or None to go without.

    RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD win; where RELMAN_REGISTRY is set they are for that registry
    only. Otherwise what `docker login` left in `docker_config_dir`/config.json: a credential helper, else `auths`.
    Raises UsageError for half a pair or an unreadable file, AccessDenied when a helper cannot be run.
    """
    if env.get("RELMAN_REGISTRY", registry) == registry:
        pair = env.get("RELMAN_REGISTRY_USERNAME", ""), env.get("RELMAN_REGISTRY_PASSWORD", "")
        if all(pair):
            return Credentials(*pair)
        if any(pair):
            raise UsageError("RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD go together; one of them is empty")
    config = _docker_config(docker_config_dir / "config.json")
    helper = _section(config, "credHelpers").get(registry) or config.get("credsStore")
    from_helper = _ask_helper(str(helper), registry) if helper else None
    return from_helper or _from_auths(_section(config, "auths"), registry)


def ca_for(
    registry: str, explicit: str | None = None, *, env: Mapping[str, str], certs_d: Path = CERTS_D
) -> str | None:
    """The file of CA certificates that `registry` is checked against; None means the system's.

    In this order: `explicit`, RELMAN_REGISTRY_CA, and Docker's own /etc/docker/certs.d/REGISTRY/ca.crt.
    Raises UsageError if the first two name no file.
    """
    named = explicit or env.get("RELMAN_REGISTRY_CA")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"there is no CA file {named} for the registry {registry}")
        return named
    docker = certs_d / registry / "ca.crt"
    return str(docker) if docker.is_file() else None


def _docker_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read", hint="Log in again with `docker login`.") from error
    return config if isinstance(config, dict) else {}


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _from_auths(auths: Mapping[str, Any], registry: str) -> Credentials | None:
    for key, entry in auths.items():
        if key.removeprefix("https://").removeprefix("http://").split("/")[0] == registry and isinstance(entry, dict):
            return _from_entry(entry, registry)
    return None


def _from_entry(entry: Mapping[str, Any], registry: str) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials(identity_token=str(token))
    try:
        username, _, password = base64.b64decode(str(entry.get("auth", "")), validate=True).decode().partition(":")
    except ValueError as error:
        raise UsageError(
            f"Docker's config.json has an unreadable entry for {registry}",
            hint=f"Log in again: docker login {registry}",
        ) from error
    return Credentials(username, password) if username else None


def _ask_helper(name: str, registry: str) -> Credentials | None:
    """Docker's credential helper protocol: `docker-credential-NAME get`, the registry on stdin, JSON on stdout. It
    has one exit code for "no such entry" and for every failure, so that both read as no credentials."""
    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        raise UsageError(f"Docker's config.json names no usable credential helper: {name!r}")
    try:
        done = subprocess.run(  # noqa: S603 - argv is checked above
            [program, "get"], input=registry.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccessDenied(
            f"the credential helper {program} gave no answer for {registry}",
            hint="Install it, or set RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD.",
        ) from error
    return _from_helper(done.stdout, program) if done.returncode == 0 else None


def _from_helper(output: bytes, program: str) -> Credentials:
    try:
        answer = json.loads(output)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # No cause: the answer that could not be read may hold the secret.
        raise AccessDenied(f"the credential helper {program} gave an invalid answer") from None
    return Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)
