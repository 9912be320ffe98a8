"""The services that tests are linked to: started in the run's network, side by side, and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from relman.ci.engine import images
from relman.ci.engine.api import CredentialsFor, translated
from relman.ci.engine.containers import create, create_volume, object_name
from relman.ci.engine.ensure_image import obtain
from relman.ci.testing.interpolation import require_values
from relman.ci.testing.parallel import Task, side_by_side
from relman.ci.testing.readiness import wait_ready
from relman.ci.testing.run_context import Bench, Linked
from relman.model.container import Image
from relman.model.image import ImageRef, ManifestDigest, Platform
from relman.model.service import LinkedService, TestStage

# The manifest digest of a release for a platform, once its evidence was checked; raises where it has none.
Released = Callable[[ImageRef, Platform], ManifestDigest]


def start_services(
    bench: Bench, stage: TestStage, credentials: CredentialsFor, released: Released
) -> dict[str, Linked]:
    """Start the stage's services and return them, by alias, once all are ready, each within its own time.

    Before the first starts, all images are there and every reference in an environment has a value. Those that depend
    on nothing start side by side. Raises TestsFailed where one dies or is not ready in time, UsageError where a value
    is missing, what resolving and pulling raise, and what `released` raises.
    """
    platform = images.platform_of(bench.client) if any(s.release for s in stage.services) else None
    fetching: dict[str, Task[tuple[Linked, Image]]] = {
        s.alias: partial(_fetch, bench, s, platform, credentials, released) for s in stage.services
    }
    found = side_by_side(fetching)
    require_values(stage, bench.values, {alias: linked for alias, (linked, _) in found.items()})
    volumes = {m.source for s in stage.services for m in s.volumes if not m.is_bind}
    known = {name: create_volume(bench.client, bench.run, name) for name in sorted(volumes)}
    ready: dict[str, Linked] = {}
    starting: dict[str, Task[Linked]] = {
        s.alias: partial(_start, bench, _mounted(s, known), *found[s.alias], ready) for s in stage.services
    }
    return side_by_side(starting, {s.alias: s.depends_on for s in stage.services})


def _fetch(
    bench: Bench,
    service: LinkedService,
    platform: Platform | None,
    credentials: CredentialsFor,
    released: Released,
    stop: threading.Event,
) -> tuple[Linked, Image]:
    """The service's image, on the engine; of a release exactly what its evidence is about."""
    wanted = service.image
    if service.release and platform:
        wanted = service.release.repository.at(released(service.release, platform))
    image, reference = obtain(bench.client, wanted, credentials, bench.progress, stop)
    ports = tuple(sorted({*image.exposed_ports, *((number, "tcp") for number in service.ports)}))
    return Linked(service.alias, reference, ports, {**image.env, **service.env}), image


def _mounted(service: LinkedService, volumes: Mapping[str, str]) -> LinkedService:
    """The service with its volumes as the engine knows them."""
    return replace(service, volumes=tuple(replace(m, source=volumes.get(m.source, m.source)) for m in service.volumes))


def _start(
    bench: Bench, service: LinkedService, found: Linked, image: Image, ready: dict[str, Linked], stop: threading.Event
) -> Linked:
    """Start one service, wait until it is ready, and put it among the `ready` ones for those that depend on it."""
    bench.progress(f"starting service {service.alias}: {found.image}")
    container = create_linked(bench, service, image, {alias: ready[alias] for alias in service.depends_on})
    with translated(f"cannot start service {service.alias}"):
        bench.client.start(container)
    with bench.watch.waiting():
        now = wait_ready(bench, service, container, found.ports, stop, has_healthcheck=image.has_healthcheck)
    bench.progress(f"service {service.alias} is ready")
    ready[service.alias] = replace(found, container=container, address=now.address, env=images.env_of(now.env))
    return ready[service.alias]


def create_linked(
    bench: Bench,
    service: LinkedService,
    image: Image,
    linked: Mapping[str, Linked],
    usual: Mapping[str, str] | None = None,
) -> str:
    """Create the container that has the service's alias for a host name, linked itself to those before it and with the
    `usual` variables under its own; returns its id. Raises EngineError."""
    name = object_name(bench.run, "link", service.alias)
    return create(
        bench.client,
        bench.run,
        name,
        image.id,
        bench.network,
        command=service.command,
        env=bench.env(name, linked, service.env, usual),
        alias=service.alias,
        mounts=service.volumes,
        tmpfs=service.tmpfs,
        healthcheck=service.healthcheck,
    )
