"""Decide which container moves first when one replaces the other. Pure."""

from __future__ import annotations

from relman.model.settings import DeploySettings, Order


def order(old: DeploySettings | None, new: DeploySettings) -> tuple[bool, str]:
    """Whether the old container has to stop before the new one starts, and why."""
    reason = must_stop_first(old, new)
    if reason:
        return True, reason
    if new.order is Order.STOP_FIRST:
        return True, "order: stop-first"
    return False, "nothing is shared"


def must_stop_first(old: DeploySettings | None, new: DeploySettings) -> str:
    """Why the two must not run at once, or "" if they may. If the old settings are unknown, the new ones count for
    both."""
    last = old or new
    if new.singleton or last.singleton:
        return "singleton"
    if reason := _share_host(last, new):
        return reason
    if port := share_port(last, new):
        return f"both take port {port}"
    shared = {m.source: m for m in last.volumes}
    for mount in new.volumes:
        other = shared.get(mount.source)
        if other and not (mount.read_only and other.read_only):
            return f"both write {mount.source}"
    return ""


def _share_host(old: DeploySettings, new: DeploySettings) -> str:
    """A container in the host's network listens on unknown ports, perhaps on those that the other binds."""
    within = ["host" in each.networks for each in (old, new)]
    if all(within):
        return "both use the host's network"
    other = new if within[0] else old
    if any(within) and (port := next((p.host_port for p in other.ports if p.host_port), 0)):
        return f"one uses the host's network, and the other takes port {port}"
    return ""


def share_port(old: DeploySettings | None, new: DeploySettings) -> int:
    """A host port that both bind; 0 if there is none. If the old settings are unknown, the new ones count for both."""
    taken = [p.binding for p in (old or new).ports if p.binding]
    wanted = (p.binding for p in new.ports if p.binding)
    return next((w.port for w in wanted if any(w.collides(t) for t in taken)), 0)
