"""The history, newest first: from this machine, or from the hosts of an environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.environments import Request, one_or_all
from relman.app.factories import ledger
from relman.app.looking.journals import Answers, ask, with_local
from relman.app.playbooks.runs import PlaybookRun, PlaybookRuns, playbook_runs
from relman.ledger.entries import Entry


@dataclass(frozen=True)
class HostHistory:
    """The history of an environment: the hosts' journals, with entries that only this machine has; `remarks` are
    contradictions between the two."""

    answers: Answers
    entries: Sequence[Entry]
    remarks: Sequence[str]

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.answers.chosen.name


def history_of_hosts(context: Context, request: Request, limit: int) -> HostHistory:
    """The newest `limit` entries. `answers` of the result has the hosts that could not be asked."""
    answers = ask(context, request)
    service = one_or_all(answers.chosen.services, request.service)
    return HostHistory(answers, *with_local(context, answers, service, limit))


def history_from_here(context: Context, service: str | None, limit: int) -> list[Entry]:
    """The newest `limit` entries of this machine's history; with the runs of playbooks, unless a service is given
    that is not ALL."""
    service = one_or_all((), service)
    entries = ledger(context).history(limit, None, service)
    if service is None:
        entries = sorted([*entries, *_playbooks(context)], key=lambda e: e.at, reverse=True)[:limit]
    return entries


def _playbooks(context: Context) -> Iterator[Entry]:
    """An entry for each run of a playbook, from its journal file."""
    runs = playbook_runs(context)
    for j in runs.all():
        yield Entry("ran", j.at, j.by, "", _outcome(j, runs), id=j.id, release=j.file)


def _outcome(run: PlaybookRun, runs: PlaybookRuns) -> str:
    if run.next is None:
        return "done"
    stage, place = run.stages[run.next], f"at stage {run.next + 1} of {len(run.stages)}"
    if stage.state == "failed":
        return f"failed {place} (exit code {stage.exit})"
    return place if runs.is_held(run.id) else f"interrupted {place}"
