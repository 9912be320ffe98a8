"""Decide whether an image may be deployed, gate by gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.environments import Request, repository_of, service_of
from relman.app.factories import environment as load_environment
from relman.app.factories import registry_of
from relman.app.image_target import Target, platform_of, reference_of
from relman.app.policy import check_of, say_trust, served_in, skips_of
from relman.app.signing import reading_seal
from relman.evidence.gates.judge import Decision
from relman.evidence.release import Examined, examine
from relman.model.errors import PolicyRefused


@dataclass(frozen=True)
class Judged:
    """The decision on an image for an environment."""

    environment: str
    decision: Decision

    def require(self) -> None:
        """Raise PolicyRefused, naming the closed gates, unless the image may be deployed there."""
        if not self.decision.passed:
            shut = ", ".join(v.gate for v in self.decision.verdicts if not v.open)
            raise PolicyRefused(f"{self.decision.facts.subject} may not be deployed to {self.environment}: {shut}")


def judge(
    context: Context, request: Request, reference: str, platform: str | None = None, skip_gates: Sequence[str] = ()
) -> Judged:
    """Decide as a deployment does whether an image (a tag or digest) may be deployed. Nothing is changed.

    Raises what prevents a decision, and what `examine` raises; closed gates are in the result.
    """
    chosen = load_environment(context, request.environment, request.inventories)
    name = service_of(chosen, request.service)
    repository = repository_of(chosen, name)
    registry = registry_of(context, repository, chosen)
    served = served_in(context, chosen.demands.policy, request.inventories, name)
    seal = reading_seal(chosen.demands)
    check = check_of(chosen.demands, seal, skips=skips_of(context, skip_gates, request.reason), served=served)
    examined = examine(registry, repository, reference_of(repository, reference), platform_of(platform), check=check)
    say_trust(context.events, chosen.demands, chosen.name)
    return Judged(chosen.name, examined.decision)


def examine_target(context: Context, target: Target, reference: str, platform: str | None = None) -> Examined:
    """All evidence about an image of the target, judged by the target's demands."""
    registry = registry_of(context, target.repository, target.environment)
    check = check_of(target.demands, target.seal)
    named = reference_of(target.repository, reference)
    return examine(registry, target.repository, named, platform_of(platform), check=check)
