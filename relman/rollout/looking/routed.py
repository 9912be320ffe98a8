"""Whether requests reach what a host serves behind its proxy."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from relman.model.plan import Observed
from relman.rollout.fleet import Session
from relman.rollout.looking.condition import Condition
from relman.rollout.proxy.status import ProxyStatus, RoutedService, status_of


@dataclass(frozen=True)
class Reach:
    """What the `proxy` makes of a service, None where that is behind none: WELL, or why no request reaches it; and
    `notes` for people."""

    state: Condition = Condition.WELL
    why: str = ""
    notes: tuple[str, ...] = ()
    proxy: ProxyStatus | None = None


def reach(session: Session, environment: str, service: str, seen: Observed) -> Reach:
    """Ask the proxy, where what serves is behind it. Raises what `status_of` raises."""
    entry = seen.record.serving
    process = entry.settings.proxied if entry else None
    if process is None:
        return Reach()
    placed = {c.name for c in seen.in_place if c.process == process.name}
    name = f"{environment}:{service}"
    proxy = status_of(session, name)
    return replace(reached(proxy, name, placed, datetime.now(UTC)), proxy=proxy)


def reached(proxy: ProxyStatus, name: str, serving: Collection[str], now: datetime) -> Reach:
    """How requests reach the containers that serve, by the backend of this name. Pure."""
    if proxy.others:
        others = ", ".join(proxy.others)
        return Reach(Condition.UNPROXIED, f"its replacement was interrupted, and {others} still runs")
    if proxy.container != "running":
        return Reach(Condition.UNPROXIED, f"the host's proxy is {proxy.container or 'gone'}")
    if not proxy.loaded:
        return Reach(Condition.UNPROXIED, "the host's proxy has not loaded what it is meant to route")
    if proxy.edited:
        return Reach(Condition.UNPROXIED, "the configuration of the host's proxy was edited by hand")
    routed = next((r for r in proxy.routes if r.name == name), None)
    if routed is None:
        return Reach(Condition.UNROUTED, "the host's proxy routes nothing to it")
    if set(routed.servers) != set(serving):
        return Reach(
            Condition.UNROUTED, f"the host's proxy sends its requests to {', '.join(routed.servers) or 'nobody'}"
        )
    return Reach(notes=tuple(_notes(proxy, routed, now)))


def _notes(proxy: ProxyStatus, routed: RoutedService, now: datetime) -> Iterator[str]:
    if routed.maintenance:
        yield "in maintenance: the host's proxy answers in its place"
    yield from (each.warning(now) for each in proxy.certificates if each.is_due(now))
    if proxy.connections:
        yield f"the host's proxy still ends {proxy.connections} connections of before its last change"
