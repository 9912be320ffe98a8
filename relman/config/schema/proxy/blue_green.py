"""What keeps two releases from running beside each other, and one switch from being between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from relman.config.schema.run import Process, Runnable, bound_ports
from relman.config.yaml_document import KeyPath
from relman.model.settings import Mount, Order

_SWITCH = ("strategy", "blue_green")


def faults(parts: Mapping[str, Runnable]) -> Iterator[tuple[str, KeyPath, str]]:
    """What a release of these processes, each with all its keys, must not say: the process, the key to change, and
    why."""
    if not any(part.proxy for part in parts.values()):
        yield "", _SWITCH, "the proxy makes the switch: it needs deploy.proxy, of the service or of one process"
    used = Counter(source for part in parts.values() for source in _written(part))
    for name, part in parts.items():
        several = isinstance(part, Process) and part.replicas != 1
        own = [source for source in _written(part) if used[source] == 1 and not several]
        for key, why in (*_alone(part), *(("volumes", f"it writes {source}") for source in own)):
            yield name, (key,), f"blue_green runs both releases, and {name or 'it'} must not run twice: {why}"


def _written(part: Runnable) -> list[str]:
    return [m.source for m in part.volumes if isinstance(m, Mount) and not m.read_only]


def _alone(part: Runnable) -> Iterator[tuple[str, str]]:
    if part.order == Order.STOP_FIRST:
        yield "order", "stop-first"
    if part.singleton:
        yield "singleton", "singleton"
    if bound := bound_ports(part):
        yield "ports", f"it takes the host's port {bound[0].host_port}"
    if "host" in part.networks:
        yield "networks", "it uses the host's network"
    if isinstance(part, Process) and part.max_hosts is not None:
        yield "max_hosts", f"max_hosts is {part.max_hosts}"
