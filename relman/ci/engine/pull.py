"""Images to and from registries through the engine, with the credentials of each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman.ci.engine.api import CredentialsFor, Progress, events, translated
from relman.docker.auth import login
from relman.docker.pull_events import line_of
from relman.model.errors import AccessDenied, EngineError, Failure, NotFound, RegistryError, Unreachable
from relman.model.image import Platform
from relman.model.reference import digest_of, registry_of, repository_of, tag_of
from relman.registry.auth import Credentials

if TYPE_CHECKING:
    import docker

_REFUSED = (401, 403)


def resolve(client: docker.APIClient, reference: str, credentials: CredentialsFor) -> str:
    """Ask the registry which digest a tag has now and return `repository@sha256:…`; a digest is returned as it is.

    Raises NotFound, AccessDenied or Unreachable.
    """
    if digest_of(reference):
        return reference
    known = credentials(registry_of(reference))
    named = reference if tag_of(reference) else f"{reference}:latest"
    try:
        with translated(f"cannot resolve {named}"):
            digest = _ask_digest(client, named, known)
    except NotFound:
        raise
    except EngineError as error:
        raise explain(client, named, known, error) from error
    return f"{repository_of(reference)}@{digest}"


def _ask_digest(client: docker.APIClient, reference: str, known: Credentials | None) -> str:
    answer = client.inspect_distribution(reference, auth_config=known.auth_config() if known else None)
    return str(answer["Descriptor"]["digest"])


def platforms_of(client: docker.APIClient, reference: str, credentials: CredentialsFor) -> tuple[Platform, ...]:
    """The platforms that the registry has `repository@sha256:…` for. Raises NotFound, EngineError or Unreachable."""
    known = credentials(registry_of(reference))
    with translated(f"cannot ask for the platforms of {reference}"):
        said = client.inspect_distribution(reference, auth_config=known.auth_config() if known else None)
    found = said.get("Platforms") or ()
    return tuple(Platform(p["os"], p["architecture"], p.get("variant") or "") for p in found)


def pull(
    client: docker.APIClient,
    reference: str,
    credentials: CredentialsFor,
    progress: Progress,
    platform: Platform | None = None,
) -> None:
    """Pull `repository@sha256:…`, of an index the image for `platform`, else for the engine's own.

    Raises NotFound, AccessDenied, Unreachable or RegistryError.
    """
    known = credentials(registry_of(reference))
    params = {"fromImage": repository_of(reference), "tag": digest_of(reference)}
    params |= {"platform": str(platform)} if platform else {}
    headers = login(known.auth_config() if known else None)
    progress(f"pulling {reference}")
    try:
        for event in events(client, "/images/create", f"cannot pull {reference}", params=params, headers=headers):
            if line := line_of(event):
                progress(line)
    except NotFound:
        raise
    except EngineError as error:
        raise explain(client, reference, known, error) from error


def explain(client: docker.APIClient, reference: str, known: Credentials | None, error: EngineError) -> Failure:
    """Why the engine failed at a registry: AccessDenied, Unreachable, or else RegistryError with the engine's words.

    The engine reports all three with the same status, so it is asked once more for the reference alone, always with a
    password: only then it answers 401 to a wrong one, 404 or 200 to a right one, and 500 where nothing answers.
    """
    registry = registry_of(reference)
    try:
        with translated("registry"):
            _ask_digest(client, reference, known or Credentials("nobody", "-"))
    except NotFound:
        pass
    except EngineError as again:
        if again.status in _REFUSED:
            hint = "Is the password right?" if known else f"Give a user and password for {registry}."
            return AccessDenied(error.what, hint=hint)
        trust = f"/etc/docker/certs.d/{registry}/ca.crt, or insecure-registries for one without TLS"
        return Unreachable(error.what, hint=f"Does the engine reach {registry}, and trust it ({trust})?")
    return RegistryError(error.what)
