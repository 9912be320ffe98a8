"""Part of `relman check`: find registries that speak plain HTTP without being allowed to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from relman.app.context import Context
from relman.app.factories import network_of
from relman.model.errors import RelmanError
from relman.model.host import Environment
from relman.model.service import Service
from relman.registry.client import Registry
from relman.registry.http.network import RegistryAccess

_SECONDS = 2.0


def warn_of_plain(context: Context, service: Service | None, environments: Sequence[Environment]) -> None:
    """Warn of every registry that speaks plain HTTP and is not allowed by name. One that does not answer in time is
    skipped."""
    asked = dict.fromkeys(_registries(context, service, environments))
    faults: list[RelmanError] = []
    # Daemons, because a resolver may take longer than the time limit.
    threads = [threading.Thread(target=_ask, args=(*each, faults), daemon=True) for each in asked]
    end = time.monotonic() + _SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for fault in sorted(faults, key=str):
        context.events.warn_once(f"{fault}. {fault.hint}")


def _registries(
    context: Context, service: Service | None, environments: Sequence[Environment]
) -> Iterator[tuple[str, RegistryAccess]]:
    if service:
        yield service.repository.registry, network_of(context)
    for environment in environments:
        network = network_of(context, environment)
        yield from ((repository.registry, network) for repository in environment.services.values())


def _ask(host: str, network: RegistryAccess, faults: list[RelmanError]) -> None:
    try:
        with Registry(host, network=network, timeout=_SECONDS) as registry:
            fault = registry.plain_fault()
    except RelmanError:
        return
    if fault:
        faults.append(fault)
