"""Which containers move first when those of one release replace those of another, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

from relman.model.plan import Turn
from relman.model.settings import DeploySettings, Order, Process, RunSettings


def turns(old: DeploySettings | None, new: DeploySettings, running: Collection[str]) -> tuple[Turn, ...]:
    """The processes whose old containers have to stop before the new ones start, with why, those together that depend
    on each other; `running` are the processes of the old containers. Where nobody knows how these are run, the new
    settings decide alone."""
    if not running:
        return ()
    found: list[tuple[set[str], str]] = []
    for process in new.parts:
        clashes = dict(_clashes(old, new, process, running))
        if not clashes and process.run.order is Order.STOP_FIRST and (own := _own(process, running)):
            clashes = dict.fromkeys(own, "order: stop-first")
        if clashes:
            found.append(({process.name, *clashes}, next(iter(clashes.values()))))
    return tuple(Turn(tuple(sorted(names, key=_place(new))), why) for names, why in _joined(found))


def must_wait(old: DeploySettings | None, new: DeploySettings, process: Process, running: Collection[str]) -> str:
    """Why old containers, those of the processes `running`, must stop before this process of the new release starts, or
    "" when they need not."""
    return next((why for _, why in _clashes(old, new, process, running)), "")


def _own(process: Process, running: Collection[str]) -> list[str]:
    """The old processes in whose place this one comes: its own; of a release without names, or to one, all."""
    return [name for name in running if name == process.name or "" in (name, process.name)]


def _clashes(
    old: DeploySettings | None, new: DeploySettings, process: Process, running: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The old processes that must not run beside the new `process`, each with why."""
    known, now = {p.name: p for p in (old or new).parts}, {p.name for p in new.parts}
    alone = _alone(old or new) & _alone(new)
    for name in running:
        other = known.get(name) or Process(name, run=process.run)
        same = name in _own(process, running)
        beside = not same and name in now and process.name in known
        if why := _clash(other.run, process.run, alone, same=same, beside=beside):
            yield name, why


def _clash(last: RunSettings, new: RunSettings, alone: Collection[str], *, same: bool, beside: bool) -> str:
    """`beside`: both releases run both processes beside each other, in the host's network, too."""
    if same and (new.singleton or last.singleton):
        return "singleton"
    if not beside and (reason := _share_host(last, new)):
        return reason
    if port := share_port(last, new):
        return f"both take port {port}"
    shared = {m.source: m for m in last.volumes if m.source in alone}
    for mount in new.volumes:
        other = shared.get(mount.source)
        if other and not (mount.read_only and other.read_only):
            return f"both write {mount.source}"
    return ""


def _alone(settings: DeploySettings) -> set[str]:
    """The volumes that one container of the release has for itself: where it is written by several of one release at
    any time, it may be written by those of two."""
    users: Counter[str] = Counter()
    for process in settings.parts:
        users.update(dict.fromkeys((m.source for m in process.run.volumes), process.replicas))
    return {source for source, count in users.items() if count == 1}


def _share_host(old: RunSettings, new: RunSettings) -> str:
    """Nobody knows on which ports a container in the host's network listens: they may be those that the other takes."""
    within = ["host" in each.networks for each in (old, new)]
    if all(within):
        return "both use the host's network"
    other = new if within[0] else old
    if any(within) and (port := next((p.host_port for p in other.ports if p.host_port), 0)):
        return f"one uses the host's network, and the other takes port {port}"
    return ""


def share_port(old: RunSettings | None, new: RunSettings) -> int:
    """A host port that both bind; 0 if there is none. If the old settings are unknown, the new ones count for both."""
    taken = [p.binding for p in (old or new).ports if p.binding]
    wanted = (p.binding for p in new.ports if p.binding)
    return next((w.port for w in wanted if any(w.collides(t) for t in taken)), 0)


def _joined(found: list[tuple[set[str], str]]) -> list[tuple[set[str], str]]:
    """Sets that share a member made one."""
    groups: list[tuple[set[str], str]] = []
    for names, why in found:
        touching = [g for g in groups if g[0] & names]
        merged = set(names).union(*(g[0] for g in touching))
        groups = [g for g in groups if g not in touching] + [(merged, touching[0][1] if touching else why)]
    return groups


def _place(new: DeploySettings) -> Callable[[str], tuple[int, str]]:
    names = [p.name for p in new.parts]
    return lambda name: (names.index(name) if name in names else len(names), name)
