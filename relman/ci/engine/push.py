"""Push a run's image under its own tag."""

from __future__ import annotations

from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.engine.images import ids_are_manifests, tag
from relman.ci.engine.pull import explain
from relman.docker.auth import auth_header
from relman.docker.client import Client
from relman.docker.events import line_of, told
from relman.model.errors import EngineError, RegistryError
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.run import RunName


def push(
    client: Client,
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
    tag(client, image, str(repository), run.tag)
    headers = {"X-Registry-Auth": auth_header(known.auth_config() if known else {})}
    progress(f"pushing {reference}")
    digest = None
    try:
        for event in told(
            client,
            f"cannot push {reference}",
            "/images/{}/push",
            str(repository),
            params={"tag": run.tag},
            headers=headers,
        ):
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
