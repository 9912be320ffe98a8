"""relman gate TAG -e ENV: would it be let in, and why."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.environments import open_environment, repository_of, service_of
from relman.app.factories import registry_of
from relman.app.image_target import platform_of, reference_of
from relman.app.policy import check_of, decision_data, say_trust, served_in, skips_of
from relman.app.signing import reading_seal
from relman.cli.options import environment_options, platform_option, reason_option, skip_option
from relman.cli.output.decision_view import show_decision
from relman.cli.verb import Context, verb
from relman.evidence.release import examine
from relman.model.errors import PolicyRefused


@verb("gate")
@click.argument("tag", metavar="TAG|DIGEST")
@environment_options
@platform_option
@skip_option
@reason_option
def gate(
    context: Context,
    tag: str,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    platform: str | None,
    skip_gates: Sequence[str],
    reason: str | None,
) -> None:
    """Explain whether a release may be deployed, rule by rule.

    It says for every rule of the environment why, and what would make the release pass.

    It decides as deploy does, and changes nothing.
    """
    chosen = open_environment(context, environment, inventories)
    name = service_of(chosen, service)
    repository = repository_of(chosen, name)
    registry = registry_of(context, repository, chosen)
    served = served_in(context, chosen.demands.policy, inventories, name)
    seal = reading_seal(chosen.demands)
    check = check_of(chosen.demands, seal, skips=skips_of(context, skip_gates, reason), served=served)
    decision = examine(registry, repository, reference_of(repository, tag), platform_of(platform), check=check).decision
    say_trust(context.output, chosen.demands, chosen.name)
    context.output.json("gate", {"environment": chosen.name, **decision_data(decision)})
    show_decision(context.output, decision)
    if not decision.passed:
        shut = ", ".join(v.gate for v in decision.verdicts if not v.open)
        raise PolicyRefused(f"{decision.facts.subject} may not be deployed to {chosen.name}: {shut}")
    context.output.note(f"{decision.facts.subject} may be deployed to {chosen.name}")
