"""Processes that only so many hosts of an environment may run: where they are, and the way from one host to another.
Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from relman.model.errors import PreflightFailed
from relman.model.plan import Plan, Step
from relman.model.settings import DeploySettings
from relman.rollout.planning.strategies.batches import batches


def require_few(settings: Iterable[DeploySettings], hosts: Mapping[str, Collection[str] | None]) -> None:
    """Raise PreflightFailed if the inventory gives a process of the release to more hosts than may run it. `settings`
    are those of the hosts that are deployed to; `hosts` are all of the environment, each with the names of its
    processes (None: all)."""
    faults = []
    for process in {p.name: p for each in settings for p in each.processes}.values():
        given = [host for host, names in hosts.items() if names is None or process.name in names]
        if process.max_hosts is not None and len(given) > process.max_hosts:
            most = f"{process.max_hosts} host{'' if process.max_hosts == 1 else 's'}"
            faults.append(f"{process.name} may run on {most}, and the inventory gives it to {', '.join(given)}")
    if faults:
        raise PreflightFailed(
            "the hosts cannot take this deployment",
            details=faults,
            hint="nothing was changed; choose its hosts with relman_processes in the inventory",
        )


def losers_first(plan: Plan, most: str) -> Plan:
    """The plan with the hosts that give up such a process in waves before those that get it, none larger than `most`.

    Raises PreflightFailed if a host that is left out may still run one that starts elsewhere, or a host changes one for
    another: no order of hosts has each of them once, then.
    """
    gaining = {name: [s.host for s in plan.steps if _gains(s, name)] for name in _limited(plan)}
    if moved := [f"{name} starts on {', '.join(hosts)}" for name, hosts in gaining.items() if hosts and plan.left_out]:
        out = ", ".join(a.host for a in plan.left_out)
        raise PreflightFailed(
            f"{'; '.join(moved)}, and may still run on {out}, left out of this",
            hint="nothing was changed; leave no host out while such a process moves",
        )
    losing = [s for s in plan.steps if any(hosts and _loses(s, name) for name, hosts in gaining.items())]
    if not losing:
        return plan
    gainers = {host for hosts in gaining.values() for host in hosts}
    if both := [s.host for s in losing if s.host in gainers]:
        raise PreflightFailed(
            f"{', '.join(both)} would give up one of {', '.join(sorted(gaining))} and get another at once",
            hint="nothing was changed; move one at a time: deploy with relman_processes changed for one of them first",
        )
    at = next(i for i, wave in enumerate(plan.waves) if any(s.host in gainers for s in wave.steps))
    late = [s for s in losing if any(s in wave.steps for wave in plan.waves[at:])]
    rest = [replace(w, steps=tuple(s for s in w.steps if s not in late)) for w in plan.waves[at:]]
    own = batches(late, (most,), most, of=len(plan.steps))
    return replace(plan, waves=(*plan.waves[:at], *own, *(w for w in rest if w.steps)))


def _limited(plan: Plan) -> set[str]:
    return {p.name for s in plan.steps for p in s.entry.settings.processes if p.max_hosts is not None}


def _gains(step: Step, process: str) -> bool:
    return _runs(step, process) and not _ran(step, process)


def _loses(step: Step, process: str) -> bool:
    return _ran(step, process) and not _runs(step, process)


def _runs(step: Step, process: str) -> bool:
    return any(p.name == process for p in step.entry.settings.processes)


def _ran(step: Step, process: str) -> bool:
    return any(o.process == process for o in step.old)
