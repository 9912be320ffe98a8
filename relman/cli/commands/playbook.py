"""relman playbook: run written release procedures."""

from __future__ import annotations

import click

from relman.cli.commands.run import run
from relman.cli.verb import shared_options


@click.group("playbook", params=list(shared_options()))
def playbook() -> None:
    """Run a release procedure that is written down as stages."""


playbook.add_command(run)
