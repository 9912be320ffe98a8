"""Push a run's image under its own tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman.ci.engine.api import CredentialsFor, Progress, events, translated
from relman.ci.engine.images import ids_are_manifests
from relman.ci.engine.pull import explain
from relman.docker.auth import auth_header
from relman.docker.pull_events import line_of
from relman.model.errors import EngineError, RegistryError
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.run import RunName

if TYPE_CHECKING:
    import docker


def push(
    client: docker.APIClient,
    repository: Repository,
    image: ImageId,
    run: RunName,
    credentials: CredentialsFor,
    progress: Progress,
) -> ManifestDigest:
    """Push `image` to `repository` under the run's own tag; return the digest that the engine says it pushed.

    With the containerd store, engines up to 26 do not say it: there the image's id is that digest.
    Raises NotFound (the engine has no such image), AccessDenied, Unreachable or RegistryError.
    """
    reference = repository.tag(run.tag)
    known = credentials(repository.registry)
    with translated(f"cannot tag {image.short}"):
        client.tag(image.value, str(repository), run.tag)
    path, headers = f"/images/{repository}/push", {"X-Registry-Auth": auth_header(known.auth_config() if known else {})}
    progress(f"pushing {reference}")
    digest = None
    try:
        for event in events(client, path, f"cannot push {reference}", params={"tag": run.tag}, headers=headers):
            digest = (event.get("aux") or {}).get("Digest") or digest
            if line := line_of(event):
                progress(line)
    except EngineError as error:
        raise explain(client, reference, known, error) from error
    if not digest and ids_are_manifests(client):
        digest = image.value
    if not digest:
        raise RegistryError(f"the engine pushed {reference} and named no digest")
    return ManifestDigest(digest)
