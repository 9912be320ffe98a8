"""Do the stages of a playbook, one after the other, and note each before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from relman.cli.compose import who
from relman.cli.exits import Exit, exit_of
from relman.cli.playbooks.checks import check_command, check_http
from relman.cli.playbooks.journal import Journal, now
from relman.cli.playbooks.words import filled, in_words
from relman.cli.signals import Stop
from relman.cli.verb import Context
from relman.model.errors import Cancelled, RelmanError
from relman.model.playbook import Command, Confirm, Http, Playbook, Stage, Verb, Wait

_NO_TIME = 0.001


@dataclass
class Runner:
    """One run of a playbook: `journal` is where it is now, `save` keeps it."""

    context: Context
    playbook: Playbook
    journal: Journal
    save: Callable[[Journal], None]
    yes: bool

    def go(self) -> int:
        """Do what is not done yet; return 0, or the exit code of the stage that failed."""
        for number, stage in enumerate(self.playbook.stages):
            if self.journal.stages[number].state == "done":
                continue
            code = self._stage(number, stage)
            if code:
                return code
        self.context.output.line("all stages done")
        return Exit.DONE

    def _stage(self, number: int, stage: Stage) -> int:
        output, count = self.context.output, len(self.playbook.stages)
        variables = {**self.journal.variables, **self.journal.outputs}
        what = in_words(stage, variables)
        title = f"stage {number + 1} of {count}: {what}"
        # Commands of relman's have phases of their own.
        (output.heading if isinstance(stage.action, Verb) else output.phase)(title)
        self._note(number, what=what, state="running", by=who(), started=now(), exit=None, finished="")
        code: int = Exit.INTERNAL
        try:
            code = self._do(replace(stage, action=filled(stage.action, variables)))
        finally:
            self._note(number, state="failed" if code else "done", exit=int(code), finished=now())
            output.json("stage", {"playbook": self.journal.id, "number": number + 1, "what": what, "exit": int(code)})
        if code:
            output.warn(f"stopped at stage {number + 1} of {count}: {what}")
            output.warn(f"`relman playbook run {self.playbook.file} --resume` continues it")
        return code

    def _note(self, number: int, **changes: object) -> None:
        self.journal = self.journal.with_stage(number, **changes)
        self.save(self.journal)

    def _do(self, stage: Stage) -> int:
        if isinstance(stage.action, Verb):
            return self._verb(stage.action, stage.timeout)
        try:
            self._act(stage)
        except RelmanError as error:
            self.context.output.error(error, debug=self.context.debug)
            return exit_of(type(error))
        except Stop as stop:
            self.context.output.error(Cancelled(stop.reason))
            return Exit.CANCELLED
        return Exit.DONE

    def _act(self, stage: Stage) -> None:
        output = self.context.output
        match stage.action:
            case Command() as command:
                env = {**self.context.environ, **self.journal.variables, **self.journal.outputs}
                check_command(command, env, stage.timeout, output.note)
            case Http() as asked:
                check_http(asked, stage.timeout, output.note)
            case Wait(seconds):
                time.sleep(seconds)
            case Confirm(question):
                if self.yes:
                    output.note("confirmed by --yes")
                elif not output.confirm(question):
                    raise Cancelled("not confirmed")

    def _verb(self, verb: Verb, timeout: float | None) -> int:
        """Run a command of relman's in this process, as `main` does: the same code, the same exit codes."""
        from relman.cli.main import run

        context, outputs = self.context, dict[str, str]()
        flags = [
            f"--{name}" for name, given in (("json", context.output.wants_json), ("debug", context.debug)) if given
        ]
        limits = [limit for limit in (timeout, context.seconds_left) if limit is not None]
        if limits:
            flags.append(f"--timeout={max(min(limits), _NO_TIME)}")
        code = run([*flags, *verb.argv], context.environ, context.signals, outputs)
        if code == Exit.DONE:
            self.journal = replace(self.journal, outputs={**self.journal.outputs, **outputs})
            context.signals.rearm(context.seconds_left)
        return code
