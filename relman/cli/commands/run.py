"""relman playbook run PLAYBOOK, or relman run PLAYBOOK: do the stages of a release procedure, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from relman.app.factories import data_dir
from relman.app.playbooks.journal import Journal, Journals, new_journal
from relman.app.playbooks.runner import Runner
from relman.app.playbooks.words import in_words
from relman.cli.exits import Exit, exit_of
from relman.cli.options import name_and_value
from relman.cli.verb import Context, verb
from relman.config.playbook import load_playbook, variables_for
from relman.model.errors import RelmanError, UsageError
from relman.model.playbook import Confirm, Playbook

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
def run(context: Context, playbook: str, plan_only: bool, resume: bool, yes: bool, given: Mapping[str, str]) -> None:
    """Run the stages of a playbook; its whole plan is shown first.

    PLAYBOOK is a file such as playbooks/release.yml.

    What was done is kept. After a failure --resume goes on with the stage that failed.
    """
    found = load_playbook(playbook)
    journals = Journals(data_dir(context.environ) / "playbooks")
    journal = _resumed(found, journals, given) if resume else _new(found, given)
    _show(context, found, journal)
    if plan_only:
        return
    if not yes:
        _require_someone(context, found, journal)
    journals.sweep()
    with journals.held(journal):
        # What another process did until it let go counts.
        latest = journals.get(journal.id) or journal
        if code := Runner(context, _Front(context), found, latest, journals.save, yes).go():
            raise click.exceptions.Exit(code)


@dataclass(frozen=True)
class _Front:
    """Stages run as commands of their own would, in this process: the same code, the same exit codes."""

    context: Context

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


def _new(playbook: Playbook, given: Mapping[str, str]) -> Journal:
    variables = variables_for(playbook, given)
    words = [in_words(stage, variables) for stage in playbook.stages]
    return new_journal(_absolute(playbook), playbook.digest, variables, words)


def _resumed(playbook: Playbook, journals: Journals, given: Mapping[str, str]) -> Journal:
    journal = journals.newest(_absolute(playbook))
    if journal is None or journal.next is None:
        reason = "no run of it is known on this machine" if journal is None else "its last run is complete"
        raise UsageError(f"there is nothing to resume of {playbook.file}: {reason}", hint="Run it without --resume.")
    if journal.digest != playbook.digest:
        raise UsageError(
            f"{playbook.file} has changed since run {journal.id} of it began",
            hint="Run it from the start, or put back what it was.",
        )
    changed = [name for name, value in given.items() if journal.variables.get(name) != value]
    if changed:
        raise UsageError(
            f"run {journal.id} of {playbook.file} began with another value of {', '.join(changed)}",
            hint="--resume keeps its variables: leave -v out.",
        )
    return journal


def _absolute(playbook: Playbook) -> str:
    return str(Path(playbook.file).resolve())


def _show(context: Context, playbook: Playbook, journal: Journal) -> None:
    output = context.output
    output.heading(f"playbook {playbook.file}, run {journal.id}")
    if playbook.description:
        output.line(playbook.description)
    variables = {**journal.variables, **journal.outputs}
    rows = [
        (str(number), in_words(stage, variables), f"{stage.timeout:g} s" if stage.timeout else "", done.state)
        for number, (stage, done) in enumerate(zip(playbook.stages, journal.stages, strict=True), 1)
    ]
    output.table(("STAGE", "WHAT", "TIMEOUT", "STATE"), rows, ("TIMEOUT",))
    names = ("number", "what", "timeout", "state")
    stages = [dict(zip(names, row, strict=True)) for row in rows]
    output.json("playbook", {"id": journal.id, "file": playbook.file, "variables": variables, "stages": stages})


def _require_someone(context: Context, playbook: Playbook, journal: Journal) -> None:
    """Raise UsageError where a person will be asked and there is none, before anything is done."""
    if context.output.can_ask:
        return
    for number, (stage, done) in enumerate(zip(playbook.stages, journal.stages, strict=True), 1):
        if isinstance(stage.action, Confirm) and done.state != "done":
            raise UsageError(
                f"stage {number} of {playbook.file} asks a person, and there is no terminal",
                hint="Pass --yes to confirm it now.",
            )
