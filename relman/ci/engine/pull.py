"""Images to and from registries through the engine, with the credentials of each call."""

from __future__ import annotations

from relman.ci.callbacks import CredentialsFor, Progress
from relman.docker.auth import login
from relman.docker.client import Client
from relman.docker.events import line_of, told
from relman.docker.images import digest_in_registry, platforms_in_registry
from relman.model.errors import AccessDenied, EngineError, Failure, NotFound, RegistryError, Unreachable
from relman.model.image import Platform
from relman.model.reference import digest_of, registry_of, repository_of, tag_of
from relman.registry.auth import Credentials

_REFUSED = (401, 403)


def resolve(client: Client, reference: str, credentials: CredentialsFor) -> str:
    """Ask the registry which digest a tag has now and return `repository@sha256:…`; a digest is returned as it is.

    Raises NotFound, AccessDenied or Unreachable.
    """
    if digest_of(reference):
        return reference
    known = credentials(registry_of(reference))
    named = reference if tag_of(reference) else f"{reference}:latest"
    try:
        digest = _ask_digest(client, f"cannot resolve {named}", named, known)
    except NotFound:
        raise
    except EngineError as error:
        raise explain(client, named, known, error) from error
    return f"{repository_of(reference)}@{digest}"


def _ask_digest(client: Client, what: str, reference: str, known: Credentials | None) -> str:
    headers = login(known.auth_config() if known else None)
    return client.get(what, "/distribution/{}/json", reference, headers=headers, read=digest_in_registry)


def platforms_of(client: Client, reference: str, credentials: CredentialsFor) -> tuple[Platform, ...]:
    """The platforms that the registry has `repository@sha256:…` for. Raises NotFound, EngineError or Unreachable."""
    known = credentials(registry_of(reference))
    headers, what = login(known.auth_config() if known else None), f"cannot ask for the platforms of {reference}"
    return client.get(what, "/distribution/{}/json", reference, headers=headers, read=platforms_in_registry)


def pull(
    client: Client,
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
        for event in told(client, f"cannot pull {reference}", "/images/create", params=params, headers=headers):
            if line := line_of(event):
                progress(line)
    except NotFound:
        raise
    except EngineError as error:
        raise explain(client, reference, known, error) from error


def explain(client: Client, reference: str, known: Credentials | None, error: EngineError) -> Failure:
    """Why the engine failed at a registry: AccessDenied, Unreachable, or else RegistryError with the engine's words.

    The engine reports all three with the same status, so it is asked once more for the reference alone, always with a
    password: only then it answers 401 to a wrong one, 404 or 200 to a right one, and 500 where nothing answers.
    """
    registry = registry_of(reference)
    try:
        _ask_digest(client, "registry", reference, known or Credentials("nobody", "-"))
    except NotFound:
        pass
    except EngineError as again:
        if again.status in _REFUSED:
            hint = "Is the password right?" if known else f"Give a user and password for {registry}."
            return AccessDenied(error.what, hint=hint)
        trust = f"/etc/docker/certs.d/{registry}/ca.crt, or insecure-registries for one without TLS"
        return Unreachable(error.what, hint=f"Does the engine reach {registry}, and trust it ({trust})?")
    return RegistryError(error.what)
