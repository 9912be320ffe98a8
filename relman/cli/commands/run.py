"""relman playbook run PLAYBOOK, or relman run PLAYBOOK: run the stages of a release procedure in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from relman.app.playbooks.open_run import OpenRun, open_run
from relman.cli.exits import Exit, exit_of
from relman.cli.options import name_and_value
from relman.cli.output.printer import Output
from relman.cli.verb import CommandContext, verb
from relman.model.errors import RelmanError

_NO_TIME = 0.001  # s


@verb("run")
@click.argument("playbook")
@click.option("--plan", "plan_only", is_flag=True, help="Show the stages and run nothing.")
@click.option("--resume", is_flag=True, help="Go on after the last stage that was done, with the same variables.")
@click.option("--yes", is_flag=True, help="Confirm every question.")
@click.option(
    "-v",
    "--var",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    callback=name_and_value,
    help="A variable of the playbook; may be repeated.",
)
def run(
    context: CommandContext, playbook: str, plan_only: bool, resume: bool, yes: bool, given: Mapping[str, str]
) -> None:
    """Run the stages of a playbook; its whole plan is shown first.

    PLAYBOOK is a file such as playbooks/release.yml.

    Progress is recorded. After a failure --resume continues with the stage that failed.
    """
    found = open_run(context, playbook, given, resume=resume)
    _show(context.output, found)
    if plan_only:
        return
    if not (yes or context.output.can_ask):
        found.require_no_question()
    if code := found.carry_out(_Front(context), yes=yes):
        raise click.exceptions.Exit(code)


@dataclass(frozen=True)
class _Front:
    """Runs stages like commands of their own, in this process: with the same code and the same exit codes."""

    context: CommandContext

    def verb(self, argv: Sequence[str], timeout: float | None, outputs: dict[str, str]) -> int:
        from relman.cli.main import run as run_command

        context = self.context
        given = (("json", context.output.wants_json), ("debug", context.debug))
        flags = [f"--{name}" for name, is_given in given if is_given]
        limits = [limit for limit in (timeout, context.seconds_left) if limit is not None]
        if limits:
            flags.append(f"--timeout={max(min(limits), _NO_TIME)}")
        code = run_command([*flags, *argv], context.environ, context.signals, outputs)
        if code == Exit.DONE:
            context.signals.rearm(context.seconds_left)
        return code

    def failed(self, error: RelmanError) -> int:
        self.context.output.error(error, debug=self.context.debug)
        return exit_of(type(error))

    def confirm(self, question: str) -> bool:
        return self.context.output.confirm(question)


def _show(output: Output, found: OpenRun) -> None:
    output.heading(f"playbook {found.playbook.file}, run {found.run.id}")
    if found.playbook.description:
        output.line(found.playbook.description)
    output.table(("STAGE", "WHAT", "TIMEOUT", "STATE"), found.stages(), ("TIMEOUT",))
    output.json("playbook", found.document())
