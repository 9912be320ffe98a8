"""A playbook run, new or resumed: preview its stages, and carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relman.app.context import Context
from relman.app.playbooks.runner import Front, Runner
from relman.app.playbooks.runs import PlaybookRun, PlaybookRuns, new_run, playbook_runs
from relman.app.playbooks.stage_text import in_words
from relman.config.playbook import load_playbook, variables_for
from relman.model.errors import UsageError
from relman.model.playbook import Confirm, Playbook


@dataclass(frozen=True)
class OpenRun:
    """A playbook run; nothing is done until it is carried out."""

    context: Context
    playbook: Playbook
    run: PlaybookRun
    kept: PlaybookRuns

    @property
    def variables(self) -> Mapping[str, str]:
        """Its variables, including those that its stages have set."""
        return {**self.run.variables, **self.run.outputs}

    def stages(self) -> list[tuple[str, str, str, str]]:
        """For each stage its number from 1, a description, its timeout and its state, as text."""
        stages = zip(self.playbook.stages, self.run.stages, strict=True)
        return [
            (str(n), in_words(stage, self.variables), f"{stage.timeout:g} s" if stage.timeout else "", done.state)
            for n, (stage, done) in enumerate(stages, 1)
        ]

    def document(self) -> dict[str, Any]:
        """The run with its stages, as plain data for JSON."""
        names = ("number", "what", "timeout", "state")
        stages = [dict(zip(names, row, strict=True)) for row in self.stages()]
        return {"id": self.run.id, "file": self.playbook.file, "variables": self.variables, "stages": stages}

    def require_no_question(self) -> None:
        """Raise UsageError if an open stage asks a person; for callers without a terminal."""
        for number, (stage, done) in enumerate(zip(self.playbook.stages, self.run.stages, strict=True), 1):
            if isinstance(stage.action, Confirm) and done.state != "done":
                raise UsageError(
                    f"stage {number} of {self.playbook.file} asks a person, and there is no terminal",
                    hint="Pass --yes to confirm it now.",
                )

    def carry_out(self, front: Front, *, yes: bool) -> int:
        """Run the stages that are not done; return 0, or the exit code of the stage that failed. With `yes`, every
        question is confirmed.

        Raises Locked, StorageFailed.
        """
        self.kept.sweep()
        with self.kept.held(self.run):
            # Another process may have run stages before it released the lock.
            latest = self.kept.get(self.run.id) or self.run
            return Runner(self.context, front, self.playbook, latest, self.kept.save, yes).go()


def open_run(context: Context, file: str, given: Mapping[str, str], *, resume: bool = False) -> OpenRun:
    """A new run of the playbook `file` with the variables `given`; with `resume`, its last run. Raises ConfigError and
    UsageError."""
    playbook, kept = load_playbook(file), playbook_runs(context)
    run = _resumed(playbook, kept, given) if resume else _new(playbook, given)
    return OpenRun(context, playbook, run, kept)


def _new(playbook: Playbook, given: Mapping[str, str]) -> PlaybookRun:
    variables = variables_for(playbook, given)
    words = [in_words(stage, variables) for stage in playbook.stages]
    return new_run(_absolute(playbook), playbook.digest, variables, words)


def _resumed(playbook: Playbook, kept: PlaybookRuns, given: Mapping[str, str]) -> PlaybookRun:
    run = kept.newest(_absolute(playbook))
    if run is None or run.next is None:
        reason = "no run of it is known on this machine" if run is None else "its last run is complete"
        raise UsageError(f"there is nothing to resume of {playbook.file}: {reason}", hint="Run it without --resume.")
    if run.digest != playbook.digest:
        raise UsageError(
            f"{playbook.file} has changed since run {run.id} of it began",
            hint="Run it from the start, or restore the file.",
        )
    changed = [name for name, value in given.items() if run.variables.get(name) != value]
    if changed:
        raise UsageError(
            f"run {run.id} of {playbook.file} began with another value of {', '.join(changed)}",
            hint="--resume keeps its variables: leave -v out.",
        )
    return run


def _absolute(playbook: Playbook) -> str:
    return str(Path(playbook.file).resolve())
