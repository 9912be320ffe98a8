"""relman evidence TAG: show the statements about an image, and who signed them."""

from __future__ import annotations

import click

from relman.app.documents.evidence import evidence_document
from relman.app.image_target import ImageRequest, target_of
from relman.app.releases.judge import examine_target
from relman.cli.options import gathered, platform_option, target_options
from relman.cli.output.evidence_view import show_statements
from relman.cli.verb import CommandContext, verb


@verb("evidence")
@click.argument("reference", metavar="TAG|DIGEST")
@target_options
@platform_option
@gathered(ImageRequest, "asked")
def evidence(
    context: CommandContext,
    reference: str,
    asked: ImageRequest,
    platform: str | None,
) -> None:
    """Show every statement about an image, and whether it counts.

    It says what each one says, and who signed it.

    --json has the statements themselves.
    """
    examined = examine_target(context, target_of(context, asked, reference), reference, platform)
    context.output.json("evidence", evidence_document(examined))
    show_statements(context.output, examined.facts)
