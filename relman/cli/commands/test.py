"""relman test: run the tests in the exact image that was built, with services linked."""

from __future__ import annotations

import click

from relman.app.ci.job import open_job
from relman.app.ci.test import shell_in_run, test_run
from relman.ci.testing.shell import require_terminal
from relman.cli.options import file_option, results_option, run_option
from relman.cli.verb import CommandContext, verb


@verb("test")
@file_option
@run_option
@results_option("Also write the test results to this file, for `relman promote` on another machine.")
@click.option(
    "--push",
    "pushed",
    is_flag=True,
    help="When they pass, push the image under the run's own tag, to be promoted later.",
)
@click.option("--keep", is_flag=True, help="Leave containers, network and volumes up, to look at them.")
@click.option("--shell", is_flag=True, help="No tests: a shell in the exact image, with everything linked.")
def test(
    context: CommandContext, file: str, run_flag: str | None, results: str | None, pushed: bool, keep: bool, shell: bool
) -> None:
    """Run the tests in the exact image that build made.

    They are linked to the services that they need.
    """
    if shell:
        require_terminal()
    job = open_job(context, file, run_flag)
    if shell:
        shell_in_run(job, keep=keep)
    else:
        test_run(job, results, pushed=pushed, keep=keep)
