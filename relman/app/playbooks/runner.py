"""Run the stages of a playbook in order, noting each one before and after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from relman.app.context import Context
from relman.app.identity import who
from relman.app.playbooks.checks import check_command, check_http
from relman.app.playbooks.runs import PlaybookRun, now
from relman.app.playbooks.stage_text import filled, in_words
from relman.model.errors import Cancelled, RelmanError
from relman.model.playbook import Command, Confirm, Http, Playbook, Stage, Verb, Wait

DONE, _INTERNAL = 0, 1


class Front(Protocol):
    """What the runner leaves to its front end. Exit codes are those of relman's commands."""

    def verb(self, argv: Sequence[str], timeout: float | None, outputs: dict[str, str]) -> int:
        """Run a relman command for at most `timeout` seconds; its outputs are added to `outputs`. Returns its exit
        code."""

    def failed(self, error: RelmanError) -> int:
        """Show the error of a failed stage, and return its exit code."""

    def confirm(self, question: str) -> bool:
        """Ask a person. Raises UsageError if none can answer."""


@dataclass
class Runner:
    """One run of a playbook: `journal` is its current state, which `save` stores."""

    context: Context
    front: Front
    playbook: Playbook
    run: PlaybookRun
    save: Callable[[PlaybookRun], None]
    yes: bool

    def go(self) -> int:
        """Run the stages that are not done; return DONE, or the exit code of the stage that failed."""
        for number, stage in enumerate(self.playbook.stages):
            if self.run.stages[number].state == "done":
                continue
            code = self._stage(number, stage)
            if code:
                return code
        self.context.events.line("all stages done")
        return DONE

    def _stage(self, number: int, stage: Stage) -> int:
        events, count = self.context.events, len(self.playbook.stages)
        variables = {**self.run.variables, **self.run.outputs}
        what = in_words(stage, variables)
        title = f"stage {number + 1} of {count}: {what}"
        # relman's commands report their own phases.
        (events.heading if isinstance(stage.action, Verb) else events.phase)(title)
        self._note(
            number, what=what, state="running", by=who(self.context.environ), started=now(), exit=None, finished=""
        )
        code = _INTERNAL
        try:
            code = self._do(replace(stage, action=filled(stage.action, variables)))
        finally:
            self._note(number, state="failed" if code else "done", exit=int(code), finished=now())
            events.json("stage", {"playbook": self.run.id, "number": number + 1, "what": what, "exit": int(code)})
        if code:
            events.warn(f"stopped at stage {number + 1} of {count}: {what}")
            events.warn(f"`relman playbook run {self.playbook.file} --resume` continues it")
        return code

    def _note(self, number: int, **changes: object) -> None:
        self.run = self.run.with_stage(number, **changes)
        self.save(self.run)

    def _do(self, stage: Stage) -> int:
        if isinstance(stage.action, Verb):
            return self._verb(stage.action, stage.timeout)
        try:
            self._act(stage)
        except RelmanError as error:
            return self.front.failed(error)
        except KeyboardInterrupt as stop:
            return self.front.failed(Cancelled(getattr(stop, "reason", "cancelled")))
        return DONE

    def _act(self, stage: Stage) -> None:
        events = self.context.events
        match stage.action:
            case Command() as command:
                env = {**self.context.environ, **self.run.variables, **self.run.outputs}
                check_command(command, env, stage.timeout, events.note)
            case Http() as asked:
                check_http(asked, self.context.environ, stage.timeout, events.note)
            case Wait(seconds):
                time.sleep(seconds)
            case Confirm(question):
                if self.yes:
                    events.note("confirmed by --yes")
                elif not self.front.confirm(question):
                    raise Cancelled("not confirmed")

    def _verb(self, verb: Verb, timeout: float | None) -> int:
        outputs = dict[str, str]()
        code = self.front.verb(verb.argv, timeout, outputs)
        if code == DONE:
            self.run = replace(self.run, outputs={**self.run.outputs, **outputs})
        return code
