"""Start the image under test as it is deployed, for tests beside it or for the smoke test."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from relman.ci.engine.containers import start, state
from relman.ci.testing.readiness import wait_ready
from relman.ci.testing.run_context import Bench, Linked
from relman.ci.testing.services import create_linked
from relman.ci.testing.test_commands import check_image
from relman.config.deploy import as_tested
from relman.config.env_file import deploy_section
from relman.model.container import Image
from relman.model.errors import CannotAsk, EngineError, TestsFailed
from relman.model.run import CommandResult
from relman.model.service import APP, LinkedService, Service, WaitFor
from relman.model.settings import Health, Probe

SMOKE = "smoke"


@dataclass(frozen=True)
class App:
    """The started image as a linked service, and the result of its smoke test; None if relman.yml requests none."""

    linked: Linked
    smoke: CommandResult | None


def start_app(bench: Bench, service: Service, image: Image, linked: Mapping[str, Linked]) -> App:
    """Start the image with the command, literal variables and health check of its deploy section, and the tests'
    variables.

    Returns when it is healthy or, for a smoke test, has been for its window. Raises TestsFailed with its last lines if
    it is not, unless that is the smoke test's result; CannotAsk if its health cannot be checked; ConfigError if only an
    inventory could fill in a value; EngineError or Unreachable.
    """
    settings, health = as_tested(deploy_section(service), service.test.env)
    ports = tuple(sorted({*image.exposed_ports, *((port.container, port.protocol) for port in settings.ports)}))
    app = LinkedService(
        APP,
        "the image under test",
        env=service.test.env,
        command=settings.command,
        wait=_wait(health),
        healthcheck=settings.healthcheck,
        container=settings.container,
    )
    found = Linked(APP, image.id.value, ports, {**image.env, **settings.env, **service.test.env})
    found = replace(found, container=_start(bench, app, settings.env, image, linked))
    argv, begin = state(bench.client, found.container, bench.network).argv, time.monotonic()
    has_healthcheck = settings.has_healthcheck(image=image.has_healthcheck)
    found, problem = _healthy(bench, service, app, health, found, has_healthcheck=has_healthcheck)
    seconds = round(time.monotonic() - begin, 3)
    smoke = CommandResult(argv, None if problem else 0, seconds, SMOKE, problem, smoke=True)
    bench.progress(f"smoke test: {smoke.end}" if service.test.smoke else f"{APP} is healthy")
    return App(found, smoke if service.test.smoke else None)


def _healthy(
    bench: Bench,
    service: Service,
    app: LinkedService,
    health: Health | None,
    found: Linked,
    *,
    has_healthcheck: bool,
) -> tuple[Linked, str]:
    """The app with its address when it is healthy; for a failed smoke test, the reason."""
    window = (health or Health()).window if service.test.smoke else 0.0
    probed = health is None or health.probe != Probe.NONE
    try:
        with bench.watch.waiting():
            now = wait_ready(
                bench,
                app,
                found.container,
                found.ports if probed else (),
                threading.Event(),
                has_healthcheck=has_healthcheck and probed,
                window=window,
            )
    except TestsFailed as error:
        if isinstance(error, CannotAsk) or not service.test.smoke:
            raise
        for line in error.details:
            bench.progress(f"{APP}: {line}")
        return found, error.what
    return replace(found, address=now.address, env=now.env), ""


def _start(
    bench: Bench, app: LinkedService, usual: Mapping[str, str], image: Image, linked: Mapping[str, Linked]
) -> str:
    bench.progress(f"starting the image under test as {APP}: {image.id}")
    container = create_linked(bench, app, image, linked, usual)
    check_image(state(bench.client, container, bench.network).image, image.id)
    try:
        start(bench.client, "cannot start the image under test", container)
    except EngineError as error:
        hint = "It is started as it is deployed: with deploy.entrypoint and deploy.command, else the image's."
        raise TestsFailed(error.what, hint=hint) from error
    return container


def _wait(health: Health | None) -> WaitFor:
    """The wait condition: the deploy section's health check, or the image's own if there is none."""
    if health is None or health.probe in (Probe.IMAGE, Probe.NONE):
        return WaitFor(timeout=health.timeout if health else WaitFor.timeout)
    if health.probe == Probe.TCP:
        return WaitFor(tcp=health.port, timeout=health.timeout)
    if health.probe == Probe.COMMAND:
        return WaitFor(command=health.command, timeout=health.timeout)
    return WaitFor(
        http_port=health.port,
        http_path=health.path,
        timeout=health.timeout,
        http_host=health.host,
        http_headers=health.headers,
    )
