"""relman gate TAG -e ENV: explain whether a release may be deployed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.documents.evidence import decision_document
from relman.app.environments import Request
from relman.app.releases.judge import judge
from relman.cli.options import environment_options, gathered, platform_option, reason_option, skip_option
from relman.cli.output.decision_view import show_decision
from relman.cli.verb import CommandContext, verb


@verb("gate")
@click.argument("tag", metavar="TAG|DIGEST")
@environment_options
@platform_option
@skip_option
@reason_option
@gathered(Request, "request")
def gate(
    context: CommandContext,
    tag: str,
    request: Request,
    platform: str | None,
    skip_gates: Sequence[str],
) -> None:
    """Explain whether a release may be deployed, rule by rule.

    It says for every rule of the environment why, and what would make the release pass.

    It decides as deploy does, and changes nothing.
    """
    judged = judge(context, request, tag, platform, skip_gates)
    decision = judged.decision
    context.output.json("gate", {"environment": judged.environment, **decision_document(decision)})
    show_decision(context.output, decision)
    judged.require()
    context.output.note(f"{decision.facts.subject} may be deployed to {judged.environment}")
