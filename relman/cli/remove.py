"""relman remove -e ENV: take a service away from its hosts; its volumes stay."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict

import click

from relman.cli import fleets
from relman.cli.compose import timestamp
from relman.cli.environments import open_selected, service_of
from relman.cli.options import environment_options, exclude_options, yes_option
from relman.cli.render import Output
from relman.cli.text import some
from relman.cli.verb import Context, verb
from relman.rollout import remove as removal
from relman.rollout.fleet import Fleet
from relman.rollout.progress import Report
from relman.rollout.remove import Removal
from relman.rollout.state.locks import Patience


@verb("remove")
@environment_options
@exclude_options
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be removed and change nothing.")
@yes_option
def remove(
    context: Context,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    reason: str | None,
    wait_lock: float,
    plan_only: bool,
    yes: bool,
) -> None:
    """Take a service off its hosts. Its volumes stay, always.

    Containers, kept images and records go.
    """
    chosen = open_selected(context, environment, inventories, only, exclude, reason).environment
    name = service_of(chosen, service)
    asked = fleets.new_asked(name, chosen, reason=reason)
    screen = fleets.Screen(context.output)
    with Fleet(chosen, name) as fleet:
        fleet.require_all()
        rows = removal.preview(fleet, asked)
        _show(context.output, rows, name, chosen.name)
        gone = [r.host for r in rows if r.anything]
        if plan_only or not gone:
            return
        if not (yes or context.output.confirm(f"remove {name} from {some(gone)} of {chosen.name}?")):
            context.output.note("nothing was changed")
            return
        started = timestamp()

        def work(cancel: threading.Event) -> Report:
            return removal.remove(fleet, asked, screen, Patience(wait_lock, cancel))

        with screen.showing([h.name for h in chosen.hosts]):
            report = fleets.shielded(work)
        fleets.finish(context, report, started, asked.reason)


def _show(output: Output, rows: Sequence[Removal], service: str, environment: str) -> None:
    output.json("removal", {"service": service, "environment": environment, "hosts": [asdict(r) for r in rows]})
    if not any(r.anything for r in rows):
        output.line(f"nothing to do: {service} is not on {', '.join(r.host for r in rows)}")
        return
    cells = [(r.host, r.release, ", ".join(r.containers), str(len(r.images)), ", ".join(r.volumes)) for r in rows]
    output.table(("HOST", "RELEASE", "CONTAINERS", "IMAGES", "VOLUMES THAT STAY"), cells, ("VOLUMES THAT STAY",))
