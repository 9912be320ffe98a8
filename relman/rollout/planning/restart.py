"""Plan a restart: what serves on each host gets new containers of the same release, settings and secrets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relman.model.errors import PreflightFailed
from relman.model.plan import Kind, Observed, Plan, Step
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import Deployed
from relman.model.strategy import Strategy, StrategyKind
from relman.rollout.planning.most import most_of
from relman.rollout.planning.planner import Asked, doubled
from relman.rollout.planning.step import step_to
from relman.rollout.planning.strategies import WAVES


def plan_restart(asked: Asked, fleet: Sequence[Observed]) -> Plan:
    """Plan to replace the containers of every host by new ones of its record's release.

    No task and no hook runs. Raises PreflightFailed, naming the hosts, where nothing was deployed.
    """
    serving = {seen.host: entry for seen in fleet if (entry := seen.record.serving)}
    if lacking := [seen.host for seen in fleet if seen.host not in serving]:
        raise PreflightFailed(
            f"nothing was deployed on {', '.join(lacking)}",
            hint=f"relman deploy TAG {asked.place}, or --only the hosts that serve",
        )
    steps = [_step(asked, seen, serving[seen.host]) for seen in fleet]
    settings = next((entry.settings for entry in serving.values()), DeploySettings())
    most = most_of(asked.max_unavailable or settings.max_unavailable, steps)
    return Plan(
        id=asked.id,
        kind=Kind.RESTART,
        service=asked.service,
        environment=asked.environment,
        release=", ".join(dict.fromkeys(entry.release for entry in serving.values())),
        waves=WAVES[StrategyKind.ROLLING](steps, Strategy(), most.value),
        warnings=doubled(steps, fleet),
        on_failure=settings.on_failure,
        keep=settings.keep,
        max_failures=settings.max_failures,
        place=asked.place,
        max_unavailable=most.value,
        by_default=most.why,
    )


def _step(asked: Asked, seen: Observed, entry: Deployed) -> Step:
    """The host's own entry under the restart's id, so that its containers are others than those that run."""
    return step_to(seen, replace(entry, id=asked.id, at=asked.at, by=asked.by, container="", units=()))
