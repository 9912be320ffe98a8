"""relman verify: check a release, or what runs, against its evidence."""

from __future__ import annotations

import click

from relman.app.documents.evidence import decision_document
from relman.app.image_target import ImageRequest, Target, target_of
from relman.app.policy import say_trust
from relman.app.releases.judge import examine_target
from relman.cli.options import gathered, platform_option, target_options
from relman.cli.output.decision_view import show_decision
from relman.cli.verb import CommandContext, verb


@verb("verify")
@click.argument("reference", metavar="[TAG|DIGEST]", required=False)
@target_options
@click.option("--policy", metavar="FILE", help="Judge by the rules in this file instead.")
@platform_option
@gathered(ImageRequest, "asked")
def verify(
    context: CommandContext,
    reference: str | None,
    asked: ImageRequest,
    platform: str | None,
) -> None:
    """Check a release, or what runs, against its evidence.

    The registry and the public keys are enough; with -e, what runs is compared with what was tested.

    TAG may be a whole REGISTRY/NAME:TAG: then nothing else is needed. With -e and no TAG every host is asked what it
    runs, and that must be the image that was tested and released.
    """
    target = target_of(context, asked, reference)
    if reference is None:
        _running(context, target, asked.service)
        return
    examined = examine_target(context, target, reference, platform)
    say_trust(context.output, target.demands, target.of)
    context.output.json("verify", decision_document(examined.decision))
    show_decision(context.output, examined.decision)
    examined.decision.require()
    context.output.line(f"{examined.decision.facts.subject} is valid: {examined.release.manifest}")


def _running(context: CommandContext, target: Target, service: str | None) -> None:
    """Check what every host runs against its evidence."""
    from relman.app.documents.hosts import verification_document
    from relman.app.looking.verify_running import verify_running

    output, found = context.output, verify_running(context, target, service)
    output.json("verify", verification_document(found))
    output.table(
        ("HOST", "RELEASE", "DIGEST", "", "WHY"),
        [(r.host, r.release, r.manifest.removeprefix("sha256:")[:12], r.kind, r.why) for r in found.rows],
        ("DIGEST", "WHY"),
    )
    if error := found.verdict():
        raise error
    output.note(f"what runs in {found.environment} is what was tested")
