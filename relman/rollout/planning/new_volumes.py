"""Named volumes that a host lacks: its engine would make them, empty. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from relman.model.errors import PreflightFailed
from relman.model.plan import Kind, Plan, Step


def unproven_volumes(step: Step) -> tuple[str, ...]:
    """The named volumes of the new containers that the old ones do not have: only these can be new to the host."""
    had = {m.source for run in (step.before.settings.runs if step.before else ()) for m in run.volumes}
    named = (m.source for run in step.entry.settings.runs for m in run.volumes if not m.is_bind)
    return tuple(name for name in dict.fromkeys(named) if name not in had)


def check_volumes(plan: Plan, present: Mapping[str, Collection[str]], agreed: Collection[str]) -> Plan:
    """The plan with the volumes that it makes. `present` has the volumes of each host that was asked.

    Raises PreflightFailed where a host has one that compose made under this name (PROJECT_NAME), unless NAME is in
    `agreed`; a rollback is not prevented.
    """
    found: list[tuple[str, str]] = []
    faults: dict[str, str] = {}
    for step in plan.steps:
        there = present.get(step.host, ())
        for name in (n for n in unproven_volumes(step) if step.host in present and n not in there):
            found.append((step.host, name))
            others = sorted(each for each in there if each.endswith(f"_{name}"))
            if others and name not in agreed:
                faults[f"{step.host}: {_beside(name, others)}"] = name
    if faults and plan.kind is Kind.DEPLOY:
        options = " ".join(f"--new-volume {name}" for name in dict.fromkeys(faults.values()))
        raise PreflightFailed(
            "the hosts cannot take this deployment",
            details=list(faults),
            hint=f"nothing was changed; name the existing one in deploy.volumes, or say {options} for an empty one",
        )
    return replace(plan, new_volumes=tuple(found))


def _beside(name: str, others: Collection[str]) -> str:
    return f"the volume {name} would be new and empty, and there is {', '.join(others)}"
