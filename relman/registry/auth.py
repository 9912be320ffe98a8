"""Who relman is to a registry, and which CA vouches for the registry: from the environment and Docker's own files."""

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
    """What an engine is given so that it may pull from `registry`, and from no other. Never shown."""

    registry: str
    auth_config: Mapping[str, str] = field(repr=False)


def credentials_for(
    registry: str, env: Mapping[str, str], docker_config_dir: Path, warn: Warn = lambda _: None
) -> Credentials | None:
    """The credentials for `registry`, or None to go without.

    RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD win; where RELMAN_REGISTRY is set they are for that registry
    only. Otherwise what `docker login` left (docker_config.py), and then, for the registry CI_REGISTRY, GitLab's
    CI_REGISTRY_USER and CI_REGISTRY_PASSWORD. Raises UsageError for half a pair or an unreadable file.
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
