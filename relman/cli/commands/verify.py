"""relman verify: by the registry and public keys alone, or what runs against what was tested."""

from __future__ import annotations

from dataclasses import asdict

import click

from relman.app.environments import service_of
from relman.app.factories import registry_of
from relman.app.image_target import Asked, Target, platform_of, reference_of, target_of
from relman.app.policy import check_of, decision_data, say_trust
from relman.cli.options import gathered, platform_option, target_options
from relman.cli.output.decision_view import show_decision
from relman.cli.verb import Context, verb
from relman.evidence.release import examine
from relman.model.errors import UsageError


@verb("verify")
@click.argument("reference", metavar="[TAG|DIGEST]", required=False)
@target_options
@click.option("--policy", metavar="FILE", help="Judge by the rules in this file instead.")
@platform_option
@gathered(Asked, "asked")
def verify(
    context: Context,
    reference: str | None,
    asked: Asked,
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
    check = check_of(target.demands, target.seal)
    registry = registry_of(context, target.repository, target.environment)
    examined = examine(
        registry, target.repository, reference_of(target.repository, reference), platform_of(platform), check=check
    )
    say_trust(context.output, target.demands, target.of)
    context.output.json("verify", decision_data(examined.decision))
    show_decision(context.output, examined.decision)
    examined.decision.require()
    context.output.line(f"{examined.decision.facts.subject} is valid: {examined.release.manifest}")


def _running(context: Context, target: Target, service: str | None) -> None:
    """What every host runs, against its evidence."""
    from relman.app.looking.verify_running import verdict, verify_running

    if target.environment is None:
        raise UsageError("nothing to verify: say TAG or DIGEST, or -e ENV for what runs there")
    say_trust(context.output, target.demands, target.of)
    chosen, output = target.environment, context.output
    name = service_of(chosen, service)
    rows = verify_running(context, target, chosen, name)
    output.json("verify", {"environment": chosen.name, "service": name, "hosts": [asdict(r) for r in rows]})
    output.table(
        ("HOST", "RELEASE", "DIGEST", "", "WHY"),
        [(r.host, r.release, r.manifest.removeprefix("sha256:")[:12], r.kind, r.why) for r in rows],
        ("DIGEST", "WHY"),
    )
    if error := verdict(rows, name):
        raise error
    output.note(f"what runs in {chosen.name} is what was tested")
