"""relman remove -e ENV: remove a service from its hosts; its volumes stay."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.deployments.remove import open_removal
from relman.app.documents.hosts import removal_document
from relman.app.environments import Request
from relman.cli.dialog import recap_and_raise
from relman.cli.options import environment_options, exclude_options, gathered, yes_option
from relman.cli.output.printer import Output
from relman.cli.output.progress import Screen
from relman.cli.verb import CommandContext, verb
from relman.model.formats.text import some
from relman.rollout.remove import Removal


@verb("remove")
@environment_options
@exclude_options
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be removed and change nothing.")
@yes_option
@gathered(Request, "request")
def remove(
    context: CommandContext,
    request: Request,
    plan_only: bool,
    yes: bool,
) -> None:
    """Remove a service from its hosts; its volumes always stay.

    Containers, kept images and records are removed.
    """
    output = context.output
    with open_removal(context, request) as removal:
        name, rows = removal.asked.service, removal.preview()
        _show(output, rows, name, request.environment)
        gone = [r.host for r in rows if r.anything]
        if plan_only or not gone:
            return
        if not (yes or output.confirm(f"remove {name} from {some(gone)} of {request.environment}?")):
            output.note("nothing was changed")
            return
        screen = Screen(output)
        with screen.showing([r.host for r in rows]):
            report = removal.carry_out(screen)
        recap_and_raise(context, report)


def _show(output: Output, rows: Sequence[Removal], service: str, environment: str) -> None:
    output.json("removal", removal_document(service, environment, rows))
    if not any(r.anything for r in rows):
        output.line(f"nothing to do: {service} is not on {', '.join(r.host for r in rows)}")
        return
    cells = [(r.host, r.release, ", ".join(r.containers), str(len(r.images)), ", ".join(r.volumes)) for r in rows]
    output.table(("HOST", "RELEASE", "CONTAINERS", "IMAGES", "VOLUMES THAT STAY"), cells, ("VOLUMES THAT STAY",))
