"""Start the linked services in the run's network, in parallel, and wait until they are ready."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from relman.ci.callbacks import CredentialsFor
from relman.ci.engine import images
from relman.ci.engine.containers import create, create_volume, object_name, start
from relman.ci.engine.ensure_image import obtain
from relman.ci.testing.interpolation import require_values
from relman.ci.testing.parallel import Task, side_by_side
from relman.ci.testing.readiness import wait_ready
from relman.ci.testing.run_context import Bench, Linked
from relman.model.container import Image
from relman.model.image import ImageRef, ManifestDigest, Platform
from relman.model.service import LinkedService, TestStage

# Returns the manifest digest of a release for a platform, whose evidence was verified; raises if there is none.
Released = Callable[[ImageRef, Platform], ManifestDigest]


def start_services(
    bench: Bench, stage: TestStage, credentials: CredentialsFor, released: Released
) -> dict[str, Linked]:
    """Start the stage's services and return them, by alias, when all are ready, each within its own timeout.

    All images are pulled and all references checked before the first one starts; independent services start in
    parallel. Raises TestsFailed if one exits or is not ready in time, UsageError if a value is missing, what resolving
    and pulling raise, and what `released` raises.
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
    """The service's image, on the engine; for a release, exactly the one that its evidence names."""
    wanted = service.image
    if service.release and platform:
        wanted = service.release.repository.at(released(service.release, platform))
    image, reference = obtain(bench.client, wanted, credentials, bench.progress, stop)
    ports = tuple(sorted({*image.exposed_ports, *((number, "tcp") for number in service.ports)}))
    return Linked(service.alias, reference, ports, {**image.env, **service.env}), image


def _mounted(service: LinkedService, volumes: Mapping[str, str]) -> LinkedService:
    """The service with its volumes by their names on the engine."""
    return replace(service, volumes=tuple(replace(m, source=volumes.get(m.source, m.source)) for m in service.volumes))


def _start(
    bench: Bench, service: LinkedService, found: Linked, image: Image, ready: dict[str, Linked], stop: threading.Event
) -> Linked:
    """Start one service, wait until it is ready, and add it to `ready` for its dependants."""
    bench.progress(f"starting service {service.alias}: {found.image}")
    container = create_linked(bench, service, image, {alias: ready[alias] for alias in service.depends_on})
    start(bench.client, f"cannot start service {service.alias}", container)
    with bench.watch.waiting():
        now = wait_ready(bench, service, container, found.ports, stop, has_healthcheck=image.has_healthcheck)
    bench.progress(f"service {service.alias} is ready")
    ready[service.alias] = replace(found, container=container, address=now.address, env=now.env)
    return ready[service.alias]


def create_linked(
    bench: Bench,
    service: LinkedService,
    image: Image,
    linked: Mapping[str, Linked],
    usual: Mapping[str, str] | None = None,
) -> str:
    """Create the container with the service's alias as its host name, linked to earlier services; returns its id.

    `usual` variables have lower precedence than its own. Raises EngineError.
    """
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
        container=service.container,
    )
