"""Whether requests reach what a host serves behind its proxy."""

from __future__ import annotations

from collections.abc import Collection

from relman.model.plan import Observed
from relman.rollout.fleet import Session
from relman.rollout.looking.condition import Condition
from relman.rollout.proxy.status import ProxyStatus, status_of


def unreached(session: Session, environment: str, service: str, seen: Observed) -> tuple[Condition, str] | None:
    """Why no request reaches what serves, for people; None where one does, or where it is not behind the proxy. Raises
    what `status_of` raises."""
    entry = seen.record.serving
    process = entry.settings.proxied if entry else None
    if process is None:
        return None
    serving = {c.name for c in seen.serving if c.process == process.name}
    return missed(status_of(session), f"{environment}:{service}", serving)


def missed(proxy: ProxyStatus, name: str, serving: Collection[str]) -> tuple[Condition, str] | None:
    """As `unreached`, of a backend of this name and the containers that serve. Pure."""
    if proxy.others:
        return Condition.UNPROXIED, f"its replacement was interrupted, and {', '.join(proxy.others)} still runs"
    if proxy.container != "running":
        return Condition.UNPROXIED, f"the host's proxy is {proxy.container or 'gone'}"
    if not proxy.loaded:
        return Condition.UNPROXIED, "the host's proxy has not loaded what it is meant to route"
    routed = next((r for r in proxy.routes if r.name == name), None)
    if routed is None:
        return Condition.UNROUTED, "the host's proxy routes nothing to it"
    if set(routed.servers) != set(serving):
        return Condition.UNROUTED, f"the host's proxy sends its requests to {', '.join(routed.servers) or 'nobody'}"
    return None
