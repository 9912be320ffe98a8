"""Wait until a linked service is ready."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Sequence

from relman.ci.engine.containers import State, last_lines, state
from relman.ci.testing.inside import InsideProbe
from relman.ci.testing.links import LinkPort
from relman.ci.testing.run_context import Bench
from relman.docker.client import Client
from relman.docker.execs import Repeated
from relman.local.http_check import GOOD, headers_of, status_of
from relman.model.errors import Cancelled, EngineError, TestsFailed
from relman.model.service import LinkedService, WaitFor

_PERIOD = 0.1
_PROBE_TIMEOUT = 2.0

Probe = Callable[[State], bool]


def probe_of(
    client: Client,
    container: str,
    wait: WaitFor,
    ports: Sequence[LinkPort],
    *,
    has_healthcheck: bool,
    reached: bool,
) -> tuple[str, Probe]:
    """The description and the check of readiness: the given one, else the image's HEALTHCHECK, else the lowest TCP port
    of `ports` (ordered), else only that it runs. If this machine has not `reached` the network, TCP and HTTP are
    checked from inside."""
    if wait.http_port is not None:
        port, what = wait.http_port, f"HTTP on port {wait.http_port}{wait.http_path}"
        if not reached:
            return f"{what}, asked inside", InsideProbe(client, container, port, wait)
        return what, lambda now: answers_http(now.address, port, wait)
    if wait.command is not None:
        return f"command {wait.command[0]}", _CommandProbe(client, container, list(wait.command))
    if wait.tcp is None and has_healthcheck:
        return "its HEALTHCHECK", lambda now: now.health == "healthy"
    tcp = wait.tcp or next((number for number, protocol in ports if protocol == "tcp"), None)
    if tcp is not None and not reached:
        return f"TCP on port {tcp}, asked inside", InsideProbe(client, container, tcp)
    if tcp is not None:
        return f"TCP on port {tcp}", lambda now: accepts_tcp(now.address, tcp)
    return "only that it runs", lambda _: True


def wait_ready(
    bench: Bench,
    service: LinkedService,
    container: str,
    ports: Sequence[LinkPort],
    stop: threading.Event,
    *,
    has_healthcheck: bool,
    window: float = 0.0,
) -> State:
    """Return the state of the service when it has been ready for `window` seconds.

    Raises TestsFailed with its last 20 log lines if it exits or is not ready within its timeout plus the window,
    Cancelled when `stop` is set.
    """
    what, ready = probe_of(
        bench.client, container, service.wait, ports, has_healthcheck=has_healthcheck, reached=bench.reached
    )
    end, since = time.monotonic() + service.wait.timeout + window, None
    while True:
        now = state(bench.client, container, bench.network)
        if not now.running:
            raise _failed(bench, service, container, now.death)
        since = (since or time.monotonic()) if ready(now) else None
        if since and time.monotonic() >= since + window:
            return now
        if time.monotonic() >= end:
            held = f", and then for {window:g} s" if window else ""
            problem = f"was not ready within {service.wait.timeout:g} s{held} (waited for {what})"
            raise _failed(bench, service, container, problem)
        if stop.wait(_PERIOD):
            raise Cancelled(f"no longer waiting for service {service.alias}")


def accepts_tcp(address: str, port: int) -> bool:
    """Whether the port accepts a connection."""
    try:
        socket.create_connection((address, port), timeout=_PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def answers_http(address: str, port: int, wait: WaitFor) -> bool:
    """Whether GET responds with a passing status (relman.local.http_check)."""
    connection = http.client.HTTPConnection(address, port, timeout=_PROBE_TIMEOUT)
    try:
        return status_of(connection, wait.http_path, headers_of(wait.http_host, wait.http_headers)) in GOOD
    except (OSError, http.client.HTTPException):
        return False


class _CommandProbe:
    """Whether a command in the container succeeds."""

    def __init__(self, client: Client, container: str, argv: list[str]) -> None:
        self._argv = argv
        self._commands = Repeated(client, f"cannot run {argv[0]} in the service", container)

    def __call__(self, _: State) -> bool:
        try:
            return self._commands.poll(self._argv) == 0
        except EngineError as error:
            if error.status == http.HTTPStatus.CONFLICT:  # the container has ended
                return False
            raise


def _failed(bench: Bench, service: LinkedService, container: str, problem: str) -> TestsFailed:
    details = last_lines(bench.client, container, bench.mask)
    return TestsFailed(f"service {service.alias} ({service.source}) {problem}", details=details)
