"""The services that tests are linked to: started in the run's network, and waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relman.ci import images
from relman.ci.containers import create, object_name
from relman.ci.engine import CredentialsFor, Progress, translated
from relman.ci.links import link_variables
from relman.ci.ready import wait_ready
from relman.ci.transfer import pull, resolve
from relman.model.container import Image
from relman.model.errors import NotFound
from relman.model.run import RunName
from relman.model.service import LinkedService

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class Linked:
    """A service that is ready. `image` is what it runs: `repository@sha256:…`, or the image id where it came from no
    registry."""

    alias: str
    image: str
    address: str
    ports: tuple[tuple[int, str], ...]
    env: dict[str, str]

    def variables(self, consumer_name: str) -> dict[str, str]:
        """The link variables for a container of this name."""
        return link_variables(self.alias, consumer_name, self.address, self.ports, self.env)


def start_services(
    client: docker.APIClient,
    run: RunName,
    network: str,
    services: tuple[LinkedService, ...],
    credentials: CredentialsFor,
    progress: Progress,
) -> tuple[Linked, ...]:
    """Start every service in the network and return once all are ready, each within its own time.

    Raises TestsFailed where one dies or is not ready in time, and what resolving and pulling raise.
    """
    started = []
    for service in services:
        image, reference = _image(client, service, credentials, progress)
        progress(f"starting service {service.alias}: {reference}")
        container = _start(client, run, network, service, image)
        started.append((service, container, image, reference))
    return tuple(_ready(client, network, *each, progress) for each in started)


def _image(
    client: docker.APIClient, service: LinkedService, credentials: CredentialsFor, progress: Progress
) -> tuple[Image, str]:
    """The image to run, on the engine, and how the report names it. An image that came from no registry is taken as
    it is; any other tag is what the registry says now, not what lies about here."""
    try:
        local = images.inspect(client, service.image)
    except NotFound:
        local = None
    if local and (not local.repo_digests or local.id.value == service.image):
        return local, local.id.value
    reference = resolve(client, service.image, credentials)
    try:
        return images.inspect(client, reference), reference
    except NotFound:
        pull(client, reference, credentials, progress)
    return images.inspect(client, reference), reference


def _start(client: docker.APIClient, run: RunName, network: str, service: LinkedService, image: Image) -> str:
    name = object_name(run, "link", service.alias)
    container = create(
        client, run, name, image.id, network, command=service.command, env=service.env, alias=service.alias
    )
    with translated(f"cannot start service {service.alias}"):
        client.start(container)
    return container


def _ready(
    client: docker.APIClient,
    network: str,
    service: LinkedService,
    container: str,
    image: Image,
    reference: str,
    progress: Progress,
) -> Linked:
    ports = tuple(sorted({*image.exposed_ports, *((number, "tcp") for number in service.ports)}))
    now = wait_ready(client, service, container, network, ports, has_healthcheck=image.has_healthcheck)
    progress(f"service {service.alias} is ready")
    return Linked(service.alias, reference, now.address, ports, images.env_of(now.env))
