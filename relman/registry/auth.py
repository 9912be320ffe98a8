"""Credentials and certificate authorities for a registry, from the environment and Docker's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relman.model.errors import UsageError
from relman.registry.docker_config import Credentials, Warn, logged_in

__all__ = ["CERTS_D", "Credentials", "Login", "ca_for", "credentials_for"]

CERTS_D = Path("/etc/docker/certs.d")


@dataclass(frozen=True)
class Login:
    """The credentials that an engine needs to pull from `registry` and no other. Its repr hides them."""

    registry: str
    auth_config: Mapping[str, str] = field(repr=False)


def credentials_for(
    registry: str, env: Mapping[str, str], docker_config_dir: Path, warn: Warn = lambda _: None
) -> Credentials | None:
    """Return the credentials for `registry`, or None for anonymous access.

    The first of these that has any: RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD (only for the registry
    RELMAN_REGISTRY, if that is set); the login that `docker login` stored (docker_config.py); for the registry
    CI_REGISTRY, GitLab's CI_REGISTRY_USER and CI_REGISTRY_PASSWORD. Raises UsageError for an incomplete pair or an
    unreadable file.
    """
    if env.get("RELMAN_REGISTRY", registry) == registry:
        pair = env.get("RELMAN_REGISTRY_USERNAME", ""), env.get("RELMAN_REGISTRY_PASSWORD", "")
        if all(pair):
            return Credentials(*pair)
        if any(pair):
            raise UsageError("RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD go together; one of them is empty")
    return logged_in(registry, docker_config_dir, env.get("DOCKER_AUTH_CONFIG", ""), warn) or _of_gitlab(registry, env)


def _of_gitlab(registry: str, env: Mapping[str, str]) -> Credentials | None:
    pair = env.get("CI_REGISTRY_USER", ""), env.get("CI_REGISTRY_PASSWORD", "")
    return Credentials(*pair) if env.get("CI_REGISTRY") == registry and all(pair) else None


def ca_for(
    registry: str, explicit: str | None = None, *, env: Mapping[str, str], certs_d: Path = CERTS_D
) -> str | None:
    """Return the file of CA certificates for `registry`; None means the system's.

    The first of: `explicit`, RELMAN_REGISTRY_CA, Docker's /etc/docker/certs.d/REGISTRY/ca.crt. Raises UsageError if one
    of the first two names a file that does not exist.
    """
    named = explicit or env.get("RELMAN_REGISTRY_CA")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"there is no CA file {named} for the registry {registry}")
        return named
    docker = certs_d / registry / "ca.crt"
    return str(docker) if docker.is_file() else None
